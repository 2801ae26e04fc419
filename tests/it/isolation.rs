use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::server::TestServer;

/// Three thousand siblings of one zygote draw three thousand different numbers of each source.
#[tokio::test(flavor = "multi_thread")]
async fn siblings_draw_different_numbers() {
    const RUNS: usize = 3_000;
    let server = TestServer::start(&["--runs-max", "16", "--runs-ready", "8"]);
    let drawn: Vec<Value> = stream::iter(0..RUNS)
        .map(async |_| {
            let code = "[Math.random(), crypto.randomUUID(), crypto.getRandomValues(new Uint32Array(2)).join()]";
            server.run(code).await["result"].take()
        })
        .buffer_unordered(8)
        .collect()
        .await;
    for source in 0..3 {
        let different: BTreeSet<String> = drawn
            .iter()
            .map(|values| values[source].to_string())
            .collect();
        assert!(!different.contains("null"));
        assert_eq!(different.len(), RUNS, "source {source}");
    }
    assert_eq!(server.figures().await["zygote_starts"], 1);
}

/// What one run leaves behind, on the global object, in the language's own prototypes, or in the
/// prelude's, no later run sees. One process is forked ahead, so the runs follow each other.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_visible_to_the_next() {
    let server = TestServer::start(&["--runs-ready", "1"]);
    let dirty = "globalThis.leak = 1; var leakedVar = 1; let leakedLet = 1; \
                 Object.prototype.polluted = 1; Array.prototype.map = () => 'bad'; \
                 JSON.stringify = () => '\"bad\"'; URL.prototype.toString = () => 'bad'; \
                 console.log = () => {}; Promise.prototype.then = null; Math.random = () => 4; \
                 Symbol.for('leak').description";
    let clean = "console.log('seen'); [typeof leak, typeof leakedVar, typeof leakedLet, \
                 'polluted' in {}, [1].map(x => x + 1), JSON.stringify({a: 1}), \
                 String(new URL('http://a/')), Math.random() < 1, typeof input]";
    for _ in 0..20 {
        let got = server.exec(json!({"code": dirty, "input": "secret"})).await;
        assert!(got["status"] != "crashed", "{got}");
        let got = server.run(clean).await;
        let expected = json!([
            "undefined",
            "undefined",
            "undefined",
            false,
            [2],
            "{\"a\":1}",
            "http://a/",
            true,
            "undefined"
        ]);
        assert_eq!(got["result"], expected, "{got}");
        assert_eq!(got["output"], "seen\n");
    }
}
