use super::super::admission::Admission;
use super::super::outcome;
use super::*;
use crate::service::run::Status;

struct Fixture {
    registry: Registry,
    admission: Arc<Admission>,
}

impl Fixture {
    fn new(change: impl FnOnce(&mut RunConfig)) -> Self {
        let mut config = RunConfig::default();
        change(&mut config);
        Self {
            registry: Registry::new(&config),
            admission: Admission::new(1000, 0),
        }
    }

    fn insert(
        &self,
        retention: Retention,
        key: Option<(&str, &str, u8)>,
    ) -> Result<Inserted, Error> {
        let key = key.map(|(principal, key, digest)| {
            let key = Key {
                principal: principal.into(),
                target: None,
                key: key.into(),
            };
            (key, [digest; 32])
        });
        self.registry.insert(
            key,
            || self.admission.admit().map(Some),
            |order, key| Record::new(ExecutionId::new(1, 1), order, 1000, retention, key),
        )
    }

    fn start(&self, retention: Retention) -> Arc<Record> {
        match self.insert(retention, None).expect("there is room") {
            Inserted::New(record, _) => record,
            Inserted::Known(_) => panic!("it has no key"),
        }
    }

    fn finish(&self, record: &Arc<Record>) {
        self.finish_with_bytes(record, 1);
    }

    fn finish_with_bytes(&self, record: &Arc<Record>, bytes: u64) {
        record
            .finish(outcome::cancelled(), None)
            .expect("it had not ended");
        self.registry.finished(record, bytes);
    }

    fn knows(&self, record: &Record) -> bool {
        self.registry.get(&record.id).is_ok()
    }
}

#[test]
fn too_many_push_out_the_oldest_that_ended_and_none_that_runs() {
    let fixture = Fixture::new(|config| config.executions_max = 3);
    let runs = fixture.start(Retention::Answered);
    let first = fixture.start(Retention::Answered);
    let second = fixture.start(Retention::Answered);
    fixture.finish(&second);
    fixture.finish(&first);
    let third = fixture.start(Retention::Answered);
    assert!(!fixture.knows(&second), "it ended first");
    assert!(fixture.knows(&first) && fixture.knows(&runs) && fixture.knows(&third));
    let fourth = fixture.start(Retention::Answered);
    assert!(!fixture.knows(&first));
    // Nothing has ended any more, so the bound gives way rather than a run.
    let fifth = fixture.start(Retention::Answered);
    assert!(
        [&runs, &third, &fourth, &fifth]
            .iter()
            .all(|record| fixture.knows(record))
    );
    fixture.finish(&fifth);
    assert!(
        !fixture.knows(&fifth),
        "over the bound, it goes when it ends"
    );
    assert_eq!(fixture.registry.unfinished_count(), 3);
}

#[test]
fn those_whose_caller_has_the_answer_go_first() {
    let fixture = Fixture::new(|config| config.executions_max = 2);
    let awaited = fixture.start(Retention::Awaited);
    let answered = fixture.start(Retention::Answered);
    fixture.finish(&awaited);
    fixture.finish(&answered);
    fixture.start(Retention::Answered);
    assert!(fixture.knows(&awaited) && !fixture.knows(&answered));
}

#[test]
fn too_many_bytes_push_out_the_oldest() {
    let fixture = Fixture::new(|config| config.kept_bytes_max = 100);
    let records: Vec<_> = (0..4).map(|_| fixture.start(Retention::Awaited)).collect();
    for record in &records {
        fixture.finish_with_bytes(record, 40);
    }
    let known: Vec<_> = records.iter().map(|record| fixture.knows(record)).collect();
    assert_eq!(known, [false, false, true, true]);
    assert_eq!(fixture.registry.size(), (2, 80));
    let huge = fixture.start(Retention::Awaited);
    fixture.finish_with_bytes(&huge, 101);
    assert_eq!(fixture.registry.size(), (0, 0));
}

#[test]
fn they_expire_by_the_time_of_their_end() {
    let fixture = Fixture::new(|config| {
        config.execution_ttl_secs = 10;
        config.idempotency_ttl_secs = 20;
    });
    let runs = fixture.start(Retention::Answered);
    let answered = fixture.start(Retention::Answered);
    let awaited = fixture.start(Retention::Awaited);
    let Ok(Inserted::New(keyed, _)) = fixture.insert(Retention::Answered, Some(("p", "k", 1)))
    else {
        panic!("the key is new");
    };
    for record in [&keyed, &answered, &awaited] {
        fixture.finish(record);
    }
    let now = Instant::now();
    fixture.registry.expire(now + Duration::from_secs(9));
    assert_eq!(fixture.registry.size().0, 4);
    fixture.registry.expire(now + Duration::from_secs(11));
    assert!(!fixture.knows(&answered) && !fixture.knows(&awaited));
    assert!(fixture.knows(&keyed), "the key is promised for longer");
    fixture.registry.expire(now + Duration::from_secs(21));
    assert!(!fixture.knows(&keyed));
    assert!(fixture.knows(&runs));
    let again = fixture.insert(Retention::Answered, Some(("p", "k", 2)));
    assert!(
        matches!(again, Ok(Inserted::New(..))),
        "the key is free again"
    );
}

#[test]
fn a_key_gives_the_same_execution_while_it_runs_and_after() {
    let fixture = Fixture::new(|_| ());
    let key = Some(("alice", "k", 1));
    let Ok(Inserted::New(first, _)) = fixture.insert(Retention::Answered, key) else {
        panic!("the key is new");
    };
    let same = |inserted| match inserted {
        Ok(Inserted::Known(record)) => record.id == first.id,
        _ => false,
    };
    assert!(
        same(fixture.insert(Retention::Answered, key)),
        "while it runs"
    );
    fixture.finish(&first);
    assert!(
        same(fixture.insert(Retention::Answered, key)),
        "after its end"
    );
    let other = fixture.insert(Retention::Answered, Some(("alice", "k", 2)));
    assert_eq!(
        other.err(),
        Some(Error::IdempotencyConflict { id: first.id })
    );
    let bobs = fixture.insert(Retention::Answered, Some(("bob", "k", 2)));
    assert!(
        matches!(bobs, Ok(Inserted::New(..))),
        "keys belong to principals"
    );
}

#[test]
fn a_key_is_free_when_nothing_ran() {
    let fixture = Fixture::new(|_| ());
    let key = Some(("p", "k", 1));
    let Ok(Inserted::New(first, _)) = fixture.insert(Retention::Answered, key) else {
        panic!("the key is new");
    };
    let kept = first.finish(
        outcome::not_run(Error::Unavailable {
            reason: "no process".into(),
        }),
        None,
    );
    fixture
        .registry
        .finished(&first, kept.expect("its first end"));
    let Ok(Inserted::New(second, _)) = fixture.insert(Retention::Answered, key) else {
        panic!("the key is free");
    };
    // The first one's memory goes; the key stays with the second.
    fixture
        .registry
        .expire(Instant::now() + Duration::from_secs(1 << 20));
    assert!(!fixture.knows(&first) && fixture.knows(&second));
    assert!(matches!(
        fixture.insert(Retention::Answered, key),
        Ok(Inserted::Known(_))
    ));
}

#[test]
fn a_refused_request_leaves_nothing_behind() {
    let fixture = Fixture {
        registry: Registry::new(&RunConfig::default()),
        admission: Admission::new(1, 0),
    };
    let _holds = fixture.admission.admit().expect("a place");
    assert!(
        fixture
            .insert(Retention::Answered, Some(("p", "k", 1)))
            .is_err()
    );
    assert_eq!(fixture.registry.size().0, 0);
    assert_eq!(fixture.registry.unfinished_count(), 0);
}

#[test]
fn pages_hold_while_executions_come_and_go() {
    let fixture = Fixture::new(|_| ());
    let records: Vec<_> = (0..1000)
        .map(|_| fixture.start(Retention::Answered))
        .collect();
    for record in records.iter().step_by(2) {
        fixture.finish(record);
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = ListPage {
            after,
            limit: 7,
            status: Some(Status::Cancelled),
        };
        let (found, next) = fixture.registry.list(&page);
        seen.extend(found.iter().map(|record| record.order));
        fixture.start(Retention::Answered);
        match next {
            Some(next) => after = Some(next.to_string().parse().expect("its own text")),
            None => break,
        }
    }
    let expected: Vec<_> = records
        .iter()
        .step_by(2)
        .rev()
        .map(|record| record.order)
        .collect();
    assert_eq!(seen, expected);
}
