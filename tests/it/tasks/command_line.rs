//! Tasks from a command line.

use serde_json::Value;

use crate::support::{Ended, Node, program, run};

#[tokio::test]
async fn a_task_from_its_making_to_its_end() {
    let node = Node::start(&[]).await;
    let task = async |arguments: &[&str]| -> Ended {
        let mut command = program();
        command
            .args(["task", "--url", &node.url("")])
            .args(arguments);
        run(&mut command).await
    };
    let code = "console.log('hi'); input + 1";
    let made = task(&[
        "create",
        code,
        "--input",
        "41",
        "--label",
        "by=hand",
        "--retries",
        "2",
    ])
    .await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let id = made.out.trim().to_owned();
    let waited = task(&["wait", &id]).await;
    assert_eq!(waited.code, Some(0), "{waited:?}");
    assert!(waited.out.contains("result    42"), "{}", waited.out);
    assert!(waited.out.contains("label     by=hand"), "{}", waited.out);
    assert_eq!(task(&["log", &id]).await.out, "hi\n");
    let listed = task(&["list", "--label", "by=hand", "--status", "succeeded"]).await;
    assert!(listed.out.starts_with(&id), "{listed:?}");
    let shown = task(&["--json", "show", &id]).await;
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!(shown["report"]["result"], 42);
    assert_eq!(task(&["delete", &id]).await.code, Some(0));
    assert_eq!(task(&["show", &id]).await.code, Some(3));

    let failed = task(&["create", "throw new Error('no')"]).await;
    let failed = task(&["wait", failed.out.trim()]).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(
        failed.out.contains("error     Error: no (script_error)"),
        "{}",
        failed.out
    );
    let cron = task(&[
        "create",
        "1",
        "--cron",
        "0 3 * * *",
        "--time-zone",
        "Europe/Berlin",
    ])
    .await;
    let id = cron.out.trim();
    let shown = task(&["show", id]).await;
    assert!(
        shown.out.contains("times     0 3 * * * (Europe/Berlin)"),
        "{}",
        shown.out
    );
    let cancelled = task(&["cancel", id]).await;
    assert!(
        cancelled.out.contains("status    cancelled"),
        "{cancelled:?}"
    );
    // What is wrong is said, with the code of what it is.
    assert_eq!(
        task(&["create", "1", "--cron", "often"]).await.code,
        Some(3)
    );
    assert_eq!(task(&["create", "1", "--input", "{"]).await.code, Some(2));
    assert_eq!(task(&["create", "1", "--label", "x"]).await.code, Some(2));
}
