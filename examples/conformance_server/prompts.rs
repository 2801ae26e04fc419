use rmcp::{ErrorData, model::*};

use crate::{input, tools};

/// The prompts that the suite asks for.
pub fn list() -> Vec<Prompt> {
    let argument = |name: &str, description: &str| {
        PromptArgument::new(name)
            .with_description(description)
            .with_required(true)
    };
    let prompt = |name: &str, description: &str, arguments: Vec<PromptArgument>| {
        Prompt::new(name, Some(description), Some(arguments))
    };
    vec![
        prompt("test_simple_prompt", "A prompt of one line", vec![]),
        prompt(
            "test_prompt_with_arguments",
            "A prompt that repeats its arguments",
            vec![
                argument("arg1", "First test argument"),
                argument("arg2", "Second test argument"),
            ],
        ),
        prompt(
            "test_prompt_with_embedded_resource",
            "A prompt with a resource in it",
            vec![argument("resourceUri", "URI of the resource to embed")],
        ),
        prompt(
            "test_prompt_with_image",
            "A prompt with an image in it",
            vec![],
        ),
        prompt(
            "test_input_required_result_prompt",
            "A prompt that asks for its context first",
            vec![],
        ),
    ]
}

/// One of them.
pub fn get(request: GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let argument = |name: &str| {
        request
            .arguments
            .as_ref()
            .and_then(|arguments| arguments.get(name))
            .and_then(|value| value.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let user = |content: ContentBlock| PromptMessage::new(Role::User, content);
    let messages = match request.name.as_str() {
        "test_simple_prompt" => {
            vec![user(ContentBlock::text(
                "This is a simple prompt for testing.",
            ))]
        }
        "test_prompt_with_arguments" => vec![user(ContentBlock::text(format!(
            "Prompt with arguments: arg1='{}', arg2='{}'",
            argument("arg1"),
            argument("arg2")
        )))],
        "test_prompt_with_embedded_resource" => vec![
            user(ContentBlock::embedded_text(
                argument("resourceUri"),
                "Embedded resource content for testing.",
            )),
            user(ContentBlock::text(
                "Please process the embedded resource above.",
            )),
        ],
        "test_prompt_with_image" => vec![
            user(ContentBlock::image(tools::PNG, "image/png")),
            user(ContentBlock::text("Please analyze the image above.")),
        ],
        "test_input_required_result_prompt" => return input::prompt(request),
        name => {
            let message = format!("unknown prompt: {name}");
            return Err(ErrorData::invalid_params(message, None));
        }
    };
    Ok(GetPromptResult::new(messages).into())
}
