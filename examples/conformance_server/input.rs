//! Calls that need answers of the client first: each round returns what is missing, and the client
//! calls again with the answers.

use rmcp::{ErrorData, RoleServer, model::*, service::RequestContext};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The tools of this kind.
pub const TOOLS: [&str; 8] = [
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
];

/// Signs what a client carries for us, so that it comes back as it went.
pub struct Seal([u8; 32]);

impl Seal {
    /// A key of this process.
    pub fn new() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the kernel has random bytes");
        Self(key)
    }

    fn close(&self, state: &str) -> String {
        format!("{state}.{}", self.mac(state))
    }

    fn open<'a>(&self, sealed: &'a str) -> Result<&'a str, ErrorData> {
        let tampered = || ErrorData::invalid_params("requestState was tampered with", None);
        let (state, mac) = sealed.rsplit_once('.').ok_or_else(tampered)?;
        if mac == self.mac(state) {
            Ok(state)
        } else {
            Err(tampered())
        }
    }

    fn mac(&self, state: &str) -> String {
        let inner = Sha256::new()
            .chain_update(self.0)
            .chain_update(state)
            .finalize();
        let outer = Sha256::new()
            .chain_update(self.0)
            .chain_update(inner)
            .finalize();
        outer.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Calls one of the tools.
pub fn call(
    seal: &Seal,
    request: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let answers = request.input_responses.unwrap_or_default();
    let state = match &request.request_state {
        Some(sealed) => Some(seal.open(sealed)?),
        None => None,
    };
    let name_of = |key: &str| text_of(answers.get(key), "name");
    match &*request.name {
        "test_input_required_result_elicitation" => match name_of("user_name") {
            Some(name) => done(format!("Hello, {name}!")),
            None => Ok(ask_for_name().into()),
        },
        "test_input_required_result_sampling" => match answers.get("capital_question") {
            Some(answer) => done(format!("The client sampled: {answer}")),
            None => ask(
                json!({ "capital_question": sampling("What is the capital of France?") }),
                None,
            ),
        },
        "test_input_required_result_list_roots" => match answers.get("client_roots") {
            Some(roots) => done(format!("The client's roots: {roots}")),
            None => ask(json!({ "client_roots": roots() }), None),
        },
        "test_input_required_result_request_state"
        | "test_input_required_result_tampered_state" => {
            match (state, answers.contains_key("confirm")) {
                (Some("confirming"), true) => done("state-ok".into()),
                _ => ask(
                    json!({ "confirm": elicitation("Please confirm", "ok", "boolean") }),
                    Some(seal.close("confirming")),
                ),
            }
        }
        "test_input_required_result_multiple_inputs" => {
            let all = ["user_name", "greeting", "client_roots"];
            if state == Some("all") && all.iter().all(|key| answers.contains_key(*key)) {
                return done("All answers arrived.".into());
            }
            ask(
                json!({
                    "user_name": elicitation("What is your name?", "name", "string"),
                    "greeting": sampling("Generate a greeting"),
                    "client_roots": roots(),
                }),
                Some(seal.close("all")),
            )
        }
        "test_input_required_result_multi_round" => match state {
            Some("round-1") if answers.contains_key("step1") => ask(
                json!({ "step2": elicitation("Step 2: What is your favorite color?", "color", "string") }),
                Some(seal.close("round-2")),
            ),
            Some("round-2") if answers.contains_key("step2") => done("Both steps are done.".into()),
            _ => ask(
                json!({ "step1": elicitation("Step 1: What is your name?", "name", "string") }),
                Some(seal.close("round-1")),
            ),
        },
        "test_input_required_result_capabilities" => {
            let declared = context.client_capabilities().unwrap_or_default();
            let mut requests = json!({});
            if declared.sampling.is_some() {
                requests["greeting"] = sampling("Generate a greeting");
            }
            if declared.elicitation.is_some() {
                requests["user_name"] = elicitation("What is your name?", "name", "string");
            }
            ask(requests, None)
        }
        name => Err(ErrorData::invalid_params(
            format!("unknown tool: {name}"),
            None,
        )),
    }
}

/// The prompt that asks for its context first.
pub fn prompt(request: GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let answers = request.input_responses.unwrap_or_default();
    if let Some(context) = text_of(answers.get("user_context"), "context") {
        let text = format!("Use this context: {context}");
        let message = PromptMessage::new_text(Role::User, text);
        return Ok(GetPromptResult::new(vec![message]).into());
    }
    let question = elicitation("What context should the prompt use?", "context", "string");
    Ok(required(json!({ "user_context": question }), None)?.into())
}

/// The first round of the tool that greets.
pub fn ask_for_name() -> InputRequiredResult {
    let question = elicitation("What is your name?", "name", "string");
    required(json!({ "user_name": question }), None).expect("the request is a valid one")
}

pub fn text_of(answer: Option<&Value>, field: &str) -> Option<String> {
    Some(answer?.get("content")?.get(field)?.as_str()?.to_owned())
}

fn done(text: String) -> Result<CallToolResponse, ErrorData> {
    Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
}

fn ask(requests: Value, state: Option<String>) -> Result<CallToolResponse, ErrorData> {
    Ok(required(requests, state)?.into())
}

fn required(requests: Value, state: Option<String>) -> Result<InputRequiredResult, ErrorData> {
    let requests: InputRequests = serde_json::from_value(requests)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(InputRequiredResult::new(Some(requests), state))
}

fn elicitation(message: &str, field: &str, kind: &str) -> Value {
    json!({
        "method": "elicitation/create",
        "params": {
            "mode": "form",
            "message": message,
            "requestedSchema": {
                "type": "object",
                "properties": { field: { "type": kind } },
                "required": [field],
            },
        },
    })
}

fn sampling(text: &str) -> Value {
    json!({
        "method": "sampling/createMessage",
        "params": {
            "messages": [{ "role": "user", "content": { "type": "text", "text": text } }],
            "maxTokens": 100,
        },
    })
}

fn roots() -> Value {
    json!({ "method": "roots/list", "params": {} })
}
