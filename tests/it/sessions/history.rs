//! Every state that a session had can be looked at, run from, branched from and gone back to.

use reqwest::StatusCode;
use serde_json::json;

use super::{delete, get, post, run, said};
use crate::support::Node;

#[tokio::test(flavor = "multi_thread")]
async fn branches_and_ways_back() {
    let node = Node::start(&[]).await;
    let mut heaps = Vec::new();
    for code in ["let n = 1; n", "n = 2", "n = 3; console.log('three'); n"] {
        heaps.push(run(&node, "main", code).await["heap"].clone());
    }
    let (_, info) = get(&node, "/api/sessions/main").await;
    assert_eq!((&info["heap"], &info["commits"]), (&heaps[2], &json!(3)));
    assert_eq!(info["warm"], true);

    let (_, log) = get(&node, "/api/sessions/main/log?limit=2").await;
    assert_eq!(log["commits"][0]["heap"], heaps[2]);
    assert_eq!(log["commits"][0]["parent"], heaps[1]);
    assert_eq!(log["commits"][0]["output"], "three\n");
    assert_eq!(log["commits"][0]["result"], 3);
    assert_eq!(log["commits"][1]["code"], "n = 2");
    assert_eq!(log["next_from"], heaps[0]);
    let from = log["next_from"].as_str().expect("a heap");
    let (_, rest) = get(&node, &format!("/api/sessions/main/log?from={from}")).await;
    assert_eq!(rest["commits"].as_array().map(Vec::len), Some(1));
    assert!(rest.get("next_from").is_none());

    // A run from an earlier heap moves nothing.
    let (_, branch) = node
        .exec(json!({"code": "n += 100", "heap": heaps[0]}))
        .await;
    assert_eq!(branch["result"], 101, "{branch}");
    assert_eq!(branch["parent"], heaps[0]);
    assert!(branch.get("session").is_none());
    let (_, further) = node
        .exec(json!({"code": "n += 100", "heap": branch["heap"]}))
        .await;
    assert_eq!(further["result"], 201);
    let (_, again) = node
        .exec(json!({"code": "n", "heap": branch["heap"]}))
        .await;
    assert_eq!(again["result"], 101, "the same heap can be run from again");
    assert_eq!(said(&node, "main", "n").await, "3");

    // Names for branches: of a heap, of a number, of where it stands.
    for (body, result) in [
        (json!({"name": "of-heap", "heap": further["heap"]}), "201"),
        (
            json!({"name": "of-number", "from": "main", "commit": 2}),
            "2",
        ),
        (json!({"name": "of-head", "from": "main"}), "3"),
    ] {
        let (status, made) = post(&node, "/api/sessions", body.clone()).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let name = body["name"].as_str().expect("a name");
        assert_eq!(said(&node, name, "n").await, result);
    }
    let (_, empty) = post(&node, "/api/sessions", json!({"name": "of-nothing"})).await;
    assert_eq!(empty["commits"], 0);
    assert_eq!(said(&node, "of-nothing", "typeof n").await, "'undefined'");

    // Back, and on from there.
    let (_, reset) = post(&node, "/api/sessions/main/reset", json!({"commit": 1})).await;
    assert_eq!(reset["heap"], heaps[0], "{reset}");
    assert_eq!(said(&node, "main", "n").await, "1");
    let stale = json!({"heap": heaps[1], "if_heap": heaps[2]});
    let (status, problem) = post(&node, "/api/sessions/main/reset", stale).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (409, &json!("heap_mismatch"))
    );
    let (_, reset) = post(&node, "/api/sessions/main/reset", json!({"heap": heaps[1]})).await;
    assert_eq!(reset["commits"], 2);
    assert_eq!(said(&node, "main", "n").await, "2");
    let (_, reset) = post(&node, "/api/sessions/main/reset", json!({"commit": 0})).await;
    assert!(reset.get("heap").is_none(), "{reset}");
    assert_eq!(said(&node, "main", "typeof n").await, "'undefined'");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_come_and_go() {
    let node = Node::start(&[]).await;
    for name in ["b", "a", "c/1", "c/2"] {
        run(&node, name, &format!("globalThis.name = {name:?}")).await;
    }
    let names = async |query: &str| {
        let (_, list) = get(&node, &format!("/api/sessions{query}")).await;
        let sessions = list["sessions"].as_array().expect("a list").clone();
        let names = sessions
            .iter()
            .map(|it| it["name"].as_str().expect("a name").to_owned());
        (names.collect::<Vec<_>>(), list["next_after"].clone())
    };
    assert_eq!(names("").await.0, ["a", "b", "c/1", "c/2"]);
    let (page, next) = names("?limit=3").await;
    assert_eq!((page.len(), next), (3, json!("c/1")));
    assert_eq!(names("?limit=3&after=c%2F1").await.0, ["c/2"]);
    assert_eq!(names("?prefix=c%2F").await.0, ["c/1", "c/2"]);
    assert_eq!(get(&node, "/api/sessions?limit=0").await.0, 400);

    let (status, problem) = post(&node, "/api/sessions/a/rename", json!({"name": "b"})).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (409, &json!("session_exists"))
    );
    let replace = json!({"name": "b", "replace": true});
    let (status, _) = post(&node, "/api/sessions/a/rename", replace).await;
    assert_eq!(status, 200);
    assert_eq!(names("").await.0, ["b", "c/1", "c/2"]);
    assert_eq!(
        said(&node, "b", "name").await,
        "'a'",
        "it is the one that was a"
    );
    let (status, problem) = post(&node, "/api/sessions", json!({"name": "b"})).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (409, &json!("session_exists"))
    );

    let gone = delete(&node, "/api/sessions/b").await;
    assert_eq!(gone, StatusCode::NO_CONTENT);
    for path in ["/api/sessions/b", "/api/sessions/b/log"] {
        let (status, problem) = get(&node, path).await;
        assert_eq!(
            (status.as_u16(), &problem["code"]),
            (404, &json!("session_not_found"))
        );
    }
    // The name is free: the next run begins with nothing.
    assert_eq!(said(&node, "b", "typeof name").await, "'undefined'");
    for (path, body) in [
        ("/api/sessions/none/reset", json!({"commit": 1})),
        ("/api/sessions/none/rename", json!({"name": "x"})),
        ("/api/sessions", json!({"name": "x", "from": "none"})),
    ] {
        let (status, problem) = post(&node, path, body).await;
        assert_eq!(
            (status.as_u16(), &problem["code"]),
            (404, &json!("session_not_found"))
        );
    }
    for (path, body) in [
        ("/api/sessions/b/reset", json!({"commit": 9})),
        ("/api/sessions/b/reset", json!({"heap": "11".repeat(32)})),
        (
            "/api/sessions",
            json!({"name": "x", "heap": "11".repeat(32)}),
        ),
    ] {
        let (status, problem) = post(&node, path, body).await;
        assert_eq!(
            (status.as_u16(), &problem["code"]),
            (404, &json!("heap_not_found"))
        );
    }
    for body in [
        json!({}),
        json!({"heap": "x"}),
        json!({"heap": "11".repeat(32), "commit": 1}),
    ] {
        assert_eq!(post(&node, "/api/sessions/b/reset", body).await.0, 400);
    }
    assert_eq!(
        post(&node, "/api/sessions", json!({"name": "x", "commit": 1}))
            .await
            .0,
        400
    );
}
