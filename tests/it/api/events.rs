use futures::StreamExt;
use reqwest::Response;
use serde_json::Value;

use crate::server::TestServer;

/// One server-sent event.
#[derive(Debug)]
struct Event {
    name: String,
    id: Option<u64>,
    data: Value,
}

/// The events of a reply, as they come.
struct Events {
    body: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Events {
    fn new(reply: Response) -> Self {
        assert_eq!(reply.headers()["content-type"], "text/event-stream");
        Self {
            body: reply.bytes_stream().boxed(),
            text: String::new(),
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = parse(event);
                self.text = rest.to_owned();
                if event.is_some() {
                    return event;
                }
                continue;
            }
            let bytes = self.body.next().await?.expect("the stream goes on");
            self.text += std::str::from_utf8(&bytes).expect("these tests print ASCII");
        }
    }
}

fn parse(text: &str) -> Option<Event> {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    Some(Event {
        name: field("event")?.to_owned(),
        id: field("id").and_then(|id| id.parse().ok()),
        data: serde_json::from_str(field("data")?).expect("JSON"),
    })
}

async fn follow(server: &TestServer, id: &str, seen: Option<u64>) -> Events {
    let mut request = server
        .client
        .get(server.at(&format!("/api/executions/{id}/events")));
    if let Some(seen) = seen {
        request = request.header("last-event-id", seen);
    }
    Events::new(request.send().await.expect("a reply"))
}

/// Lines come while the script runs, then the end; a late reader gets the same.
#[tokio::test]
async fn lines_come_live_and_again_for_a_late_reader() {
    let server = TestServer::start(&[]);
    let code = "console.log('one'); console.error('two\\nlines'); \
                await new Promise(done => setTimeout(done, 500)); console.log('three'); 7";
    let id = server.exec_async(code).await;
    let mut live = follow(&server, &id, None).await;
    let first = live.next().await.expect("a line");
    assert_eq!((first.name.as_str(), first.id), ("line", Some(1)));
    assert_eq!(first.data["text"], "one");
    assert_eq!(
        server.execution(&id).await["status"],
        "running",
        "it came before the end"
    );
    let mut names = vec![first.name];
    let mut last = None;
    while let Some(event) = live.next().await {
        names.push(event.name.clone());
        last = Some(event);
    }
    assert_eq!(names, ["line", "line", "line", "end"]);
    let end = last.expect("an end");
    assert_eq!(
        (&end.data["status"], &end.data["result"]),
        (&"completed".into(), &7.into())
    );

    let mut late = follow(&server, &id, Some(1)).await;
    let second = late.next().await.expect("a line");
    assert_eq!(second.id, Some(2));
    assert_eq!(
        (&second.data["level"], &second.data["text"]),
        (&"error".into(), &"two\nlines".into())
    );
    assert_eq!(late.next().await.map(|event| event.id), Some(Some(3)));
    assert_eq!(
        late.next().await.map(|event| event.name),
        Some("end".to_owned())
    );
    assert!(late.next().await.is_none(), "the stream closes");
}

/// A reader that comes after lines were dropped is told which.
#[tokio::test]
async fn a_gap_is_told() {
    let server = TestServer::start(&["--output-bytes", "2000"]);
    let code = "for (let i = 1; i <= 5000; i++) console.log(i)";
    let id = server.exec_async(code).await;
    server.until_status(&id, "completed").await;
    let mut events = follow(&server, &id, None).await;
    let mut next = 1;
    let mut gaps = 0;
    loop {
        let event = events.next().await.expect("an event before the end");
        match event.name.as_str() {
            "line" => {
                assert_eq!(event.id, Some(next));
                assert_eq!(event.data["text"], next.to_string());
                next += 1;
            }
            "gap" => {
                gaps += 1;
                next += event.data["dropped"].as_u64().expect("a number");
                assert_eq!(event.id, Some(next - 1));
            }
            _ => break,
        }
    }
    assert_eq!((next, gaps), (5001, 1));
}
