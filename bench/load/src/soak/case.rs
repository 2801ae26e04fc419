//! The programs of the soak, each with what must come of it.

use bytes::Bytes;
use serde_json::{Value, json};

/// A program and its answer.
#[derive(Debug)]
pub struct Case {
    /// Its name in the report.
    pub kind: &'static str,
    /// Whether it tries to harm the server.
    pub hostile: bool,
    request: Value,
    expected: Expected,
}

#[derive(Debug)]
enum Expected {
    Result(Value),
    Output {
        result: Value,
        output: String,
    },
    Random,
    Error {
        status: &'static str,
        code: &'static str,
        message: String,
    },
    Flood {
        bytes: u64,
    },
}

impl Case {
    fn good(kind: &'static str, request: Value, expected: Expected) -> Self {
        Self {
            kind,
            hostile: false,
            request,
            expected,
        }
    }

    fn hostile(kind: &'static str, request: Value, expected: Expected) -> Self {
        Self {
            kind,
            hostile: true,
            request,
            expected,
        }
    }

    /// The request.
    pub fn body(&self) -> Bytes {
        Bytes::from(self.request.to_string())
    }

    /// Whether the reply is the one that must come.
    pub fn matches(&self, reply: &Value) -> bool {
        let completed = reply["status"] == "completed" && reply.get("error").is_none();
        match &self.expected {
            Expected::Result(result) => {
                completed && &reply["result"] == result && reply["output"] == ""
            }
            Expected::Output { result, output } => {
                completed && &reply["result"] == result && reply["output"] == output.as_str()
            }
            Expected::Random => {
                completed
                    && reply["result"]
                        .as_f64()
                        .is_some_and(|r| (0.0..1.0).contains(&r))
            }
            Expected::Error {
                status,
                code,
                message,
            } => {
                let error = &reply["error"];
                reply["status"] == *status
                    && error["code"] == *code
                    && error["message"]
                        .as_str()
                        .is_some_and(|told| told.contains(message))
            }
            Expected::Flood { bytes } => {
                let kept = reply["output"].as_str().map_or(0, str::len);
                completed
                    && reply["result"] == "flooded"
                    && reply["truncated"] == true
                    && reply["output_bytes"] == *bytes
                    && (1 << 16..=(1 << 20) + 4096).contains(&kept)
            }
        }
    }
}

/// A sequence of numbers that a seed decides (splitmix64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a client.
    pub fn new(seed: u64, client: u64) -> Self {
        let mut random = Self(seed ^ client.wrapping_mul(0xd6e8_feb8_6659_fd93));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

const GOOD: [fn(u64) -> Case; 11] = [
    trivial, json_text, console, timer, typescript, hot_loop, thrown, buffers, input, isolation,
    random,
];
const HOSTILE: [fn(u64) -> Case; 6] = [endless, heap_hog, buffer_hog, recursion, flood, rejection];

/// The next program: one of twenty is hostile.
pub fn next(random: &mut Random) -> Case {
    let hostile = random.below(20) == 0;
    let of: &[fn(u64) -> Case] = if hostile { &HOSTILE } else { &GOOD };
    let make = of[random.below(of.len())];
    make(random.next() % 1_000_000)
}

/// Each program once.
pub fn each() -> Vec<Case> {
    GOOD.iter().chain(&HOSTILE).map(|make| make(7)).collect()
}

fn trivial(n: u64) -> Case {
    Case::good(
        "trivial",
        json!({ "code": format!("{n} + 2") }),
        Expected::Result(json!(n + 2)),
    )
}

fn json_text(n: u64) -> Case {
    let code = format!(
        "const o = JSON.parse('{{\"list\":[1,2,3],\"n\":{n}}}'); o.list.push(o.n); \
         ({{text: JSON.stringify(o), sum: o.list.reduce((a, b) => a + b, 0)}})"
    );
    let text = format!("{{\"list\":[1,2,3,{n}],\"n\":{n}}}");
    Case::good(
        "json",
        json!({ "code": code }),
        Expected::Result(json!({ "text": text, "sum": n + 6 })),
    )
}

fn console(n: u64) -> Case {
    let code = format!("for (let i = 0; i < 20; i++) console.log('line', i, {n}); {n}");
    let output = (0..20).map(|i| format!("line {i} {n}\n")).collect();
    Case::good(
        "console",
        json!({ "code": code }),
        Expected::Output {
            result: json!(n),
            output,
        },
    )
}

fn timer(n: u64) -> Case {
    let code = format!(
        "const v = await new Promise(done => setTimeout(() => done({n}), 3)); \
         await Promise.all([1, 2, 3].map(async i => {{ await null; return i; }})); v * 2"
    );
    Case::good(
        "timer and await",
        json!({ "code": code }),
        Expected::Result(json!(n * 2)),
    )
}

fn typescript(n: u64) -> Case {
    let code = format!(
        "enum E {{ A = {n}, B }} interface P {{ y: number }} const p: P = {{ y: E.B as number }}; p.y"
    );
    Case::good(
        "typescript",
        json!({ "code": code, "language": "typescript" }),
        Expected::Result(json!(n + 1)),
    )
}

fn hot_loop(n: u64) -> Case {
    let code = format!("let s = 0; for (let i = 0; i < 1e6; i++) s += i; s + {n}");
    let sum: u64 = 499_999_500_000;
    Case::good(
        "loop of a million",
        json!({ "code": code }),
        Expected::Result(json!(sum + n)),
    )
}

fn thrown(n: u64) -> Case {
    Case::good(
        "throw",
        json!({ "code": format!("throw new TypeError('no {n}')") }),
        Expected::Error {
            status: "failed",
            code: "script_error",
            message: format!("no {n}"),
        },
    )
}

fn buffers(n: u64) -> Case {
    let of = n % 200 + 1;
    let code = format!(
        "let sum = 0; for (let i = 0; i < 8; i++) {{ const b = new Uint8Array(65536).fill({of}); \
         sum += b[i] + b[65535]; }} sum"
    );
    Case::good(
        "buffers",
        json!({ "code": code }),
        Expected::Result(json!(16 * of)),
    )
}

fn input(n: u64) -> Case {
    Case::good(
        "input",
        json!({ "code": "input.n * input.list.length", "input": { "n": n, "list": [1, 2, 3] } }),
        Expected::Result(json!(n * 3)),
    )
}

/// Nothing that a run leaves behind may be there in the next.
fn isolation(n: u64) -> Case {
    let code = format!(
        "const seen = [typeof globalThis.leak, typeof [].leak]; globalThis.leak = {n}; \
         Object.prototype.leak = {n}; Array.prototype.leak = {n}; JSON.stringify(seen)"
    );
    Case::good(
        "isolation",
        json!({ "code": code }),
        Expected::Result(json!(r#"["undefined","undefined"]"#)),
    )
}

fn random(_: u64) -> Case {
    Case::good(
        "random",
        json!({ "code": "Math.random()" }),
        Expected::Random,
    )
}

fn endless(_: u64) -> Case {
    Case::hostile(
        "endless loop",
        json!({ "code": "for (;;);", "timeout_ms": 200 }),
        Expected::Error {
            status: "timed_out",
            code: "timeout",
            message: String::new(),
        },
    )
}

fn heap_hog(_: u64) -> Case {
    Case::hostile(
        "heap hog",
        json!({
            "code": "const a = []; for (;;) a.push(new Array(1000).fill(1.5))",
            "heap_mb": 32,
        }),
        Expected::Error {
            status: "out_of_memory",
            code: "heap_limit",
            message: String::new(),
        },
    )
}

fn buffer_hog(_: u64) -> Case {
    Case::hostile(
        "buffer hog",
        json!({ "code": "const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))" }),
        Expected::Error {
            status: "out_of_memory",
            code: "array_buffer_limit",
            message: String::new(),
        },
    )
}

fn recursion(_: u64) -> Case {
    Case::hostile(
        "deep recursion",
        json!({ "code": "function f() { return f() + 1; } f()" }),
        Expected::Error {
            status: "failed",
            code: "stack_overflow",
            message: String::new(),
        },
    )
}

fn flood(_: u64) -> Case {
    let code = "const line = 'x'.repeat(1023); \
                for (let i = 0; i < 4096; i++) console.log(line); 'flooded'";
    Case::hostile(
        "console flood",
        json!({ "code": code }),
        Expected::Flood { bytes: 4096 * 1024 },
    )
}

fn rejection(n: u64) -> Case {
    Case::hostile(
        "unhandled rejection",
        json!({ "code": format!("Promise.reject(new Error('lost {n}')); 1") }),
        Expected::Error {
            status: "failed",
            code: "script_error",
            message: format!("lost {n}"),
        },
    )
}
