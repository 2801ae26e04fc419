//! The ways in which a process image was ever found to break, one test each. The numbers are those of
//! the list in `worker/DESIGN.md`.

use std::fs;
use std::time::{Duration, Instant};

use process_image::StateId;
use tokio_util::sync::CancellationToken;

use super::{keep, move_to_fresh, open, request, said, workers};
use crate::workers::session::{Refused, Session};
use crate::workers::{OomCause, Outcome};

/// Runs code that must not be kept, and tells why; the session stands where it stood.
async fn refuse(session: &mut Session, code: &str) -> (Refused, Outcome) {
    let before = session.state();
    let attempt = session
        .run(request(code), &mut |_| {}, CancellationToken::new())
        .await
        .expect("a process");
    let outcome = attempt.ended().outcome.clone();
    let refused = attempt.commit(StateId([0xee; 32])).expect_err("refused");
    assert_eq!(session.state(), before);
    (refused, outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_01_a_page_that_was_dropped_and_only_read_again_is_zeros() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    keep(
        &mut session,
        "var b = new ArrayBuffer(1 << 20, { maxByteLength: 1 << 20 }); new Uint8Array(b).fill(7); 0",
    )
    .await;
    let sum = "new Uint8Array(b).reduce((a, x) => a + x, 0)";
    assert_eq!(keep(&mut session, sum).await.0, (7 << 20).to_string());
    let code = format!("b.resize(0); b.resize(1 << 20); {sum}");
    assert_eq!(keep(&mut session, &code).await.0, "0");
    let mut moved = move_to_fresh(session, &workers).await;
    assert_eq!(keep(&mut moved, sum).await.0, "0");
    moved.close().await;
    workers.shutdown().await;
}

/// The fork ahead is made after the scan, and nothing of the parent changes by it: its memory is what
/// its deltas say, before and after a fork lived and died.
#[tokio::test(flavor = "multi_thread")]
async fn rule_03_and_06_nothing_is_written_between_scan_and_fork() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    for round in 0..20 {
        keep(&mut session, "var n = (globalThis.n ?? 0) + 1").await;
        let attempt = session
            .run(request("n = -1"), &mut |_| {}, CancellationToken::new())
            .await
            .expect("a process");
        attempt.abort();
        let shadow = session.shadow.as_ref().expect("it is verified");
        let (memory, table) = (&session.living.memory, &session.living.table);
        let deadline = Instant::now() + Duration::from_secs(60);
        let different = shadow
            .differences(None, memory, table, deadline)
            .expect("readable");
        assert_eq!(different, [0; 0], "round {round}");
    }
    session.close().await;
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_05_huge_pages_are_off() {
    let workers = workers().await;
    let session = open(&workers).await;
    let status = fs::read_to_string(format!("/proc/{}/status", session.pid())).expect("alive");
    // Kernels before 5.0 do not tell.
    if let Some(line) = status.lines().find(|line| line.starts_with("THP_enabled:")) {
        assert_eq!(line.split_whitespace().last(), Some("0"), "{line}");
    }
    session.close().await;
    workers.shutdown().await;
}

/// A run that only reads a gigabyte makes the kernel map a page of zeros everywhere, of which nothing is
/// read; one that writes everywhere is over the limit before anything of it is read.
#[tokio::test(flavor = "multi_thread")]
async fn rule_07_touching_much_memory_is_bounded() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    let each =
        "const u = new Uint8Array(m.buffer); let s = 0; for (let i = 0; i < u.length; i += 4096)";
    let code =
        format!("var m = new WebAssembly.Memory({{ initial: 16384 }}); {{ {each} s += u[i]; s }}");
    let (got, bytes) = keep(&mut session, &code).await;
    assert_eq!(got, "0");
    assert!(bytes < 1 << 20, "{bytes} bytes for reading");
    let code = format!("m = new WebAssembly.Memory({{ initial: 5000 }}); {{ {each} u[i] = 1; s }}");
    let (refused, outcome) = refuse(&mut session, &code).await;
    assert!(
        matches!(refused, Refused::Pages { .. }),
        "{refused:?}, {}",
        said(&outcome)
    );
    assert_eq!(
        keep(&mut session, "m.buffer.byteLength >> 20").await.0,
        "1024"
    );
    session.close().await;
    workers.shutdown().await;
}

/// No word of a state points into memory that only one process has: the kernel's stack and what the
/// kernel maps, or the memory of `brk`. That of the process in which the base image was made is not
/// known here, but it lay where such memory lies.
#[tokio::test(flavor = "multi_thread")]
async fn rule_08_an_image_points_nowhere_outside() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    keep(&mut session, "1 + 2").await;
    let maps = fs::read_to_string(format!("/proc/{}/maps", session.pid())).expect("alive");
    let number = |text| u64::from_str_radix(text, 16).expect("a number");
    let mut foreign = Vec::new();
    for line in maps.lines() {
        let (range, name) = line.split_once(' ').expect("a range first");
        let (start, end) = range.split_once('-').expect("two ends");
        if number(start) >= process_image::layout::REGION_END || name.ends_with("[heap]") {
            foreign.push(number(start)..number(end));
        }
    }
    assert!(foreign.len() >= 3, "{maps}");
    let variables = session.engine().bounds().segments[0].clone();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut found = Vec::new();
    let living = &session.living;
    let each = |page: u64, bytes: &[u8; 4096]| {
        for (index, word) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            let here = foreign.iter().any(|range| range.contains(&word));
            // Where kernels put stacks; in V8's own memory a number can look like anything, and two
            // small ones side by side can anywhere.
            let elsewhere = (0x7ff0_0000_0000..0x8000_0000_0000).contains(&word)
                && word >> 16 & 0xffff != 0
                && (variables.contains(&(page * 4096)) || page * 4096 < 0x1000_2800_0000);
            if here || elsewhere {
                found.push(format!("{:#x}: {word:#x}", page * 4096 + index as u64 * 8));
            }
        }
    };
    living
        .memory
        .read(&living.present, deadline, each)
        .expect("readable");
    assert!(found.is_empty(), "{found:#?}");
    session.close().await;
    workers.shutdown().await;
}

/// V8's last words in a process that has been moved: it unwinds nothing that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn rule_09_a_moved_process_can_fail_with_words() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    keep(&mut session, "var keep = []").await;
    let mut moved = move_to_fresh(session, &workers).await;
    let (refused, outcome) = refuse(
        &mut moved,
        "for (;;) keep.push(new Array(1000).fill(keep.length))",
    )
    .await;
    assert!(matches!(refused, Refused::NotDone));
    let heap = matches!(outcome, Outcome::OutOfMemory(OomCause::Heap));
    assert!(heap, "{outcome:?}");
    assert_eq!(keep(&mut moved, "keep.length").await.0, "0");
    moved.close().await;
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_11_webassembly_traps_without_signal_handlers() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    // (func (param i32) (result i32) local.get 0 i32.load)
    keep(
        &mut session,
        "var load = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,\
         1,6,1,96,1,127,1,127,3,2,1,0,5,3,1,0,1,7,5,1,1,108,0,0,10,9,1,7,0,32,0,40,2,0,11]))).exports.l; 0",
    )
    .await;
    let out_of_bounds = "try { load(1 << 20) } catch (e) { e.name }";
    assert_eq!(keep(&mut session, out_of_bounds).await.0, "'RuntimeError'");
    let mut moved = move_to_fresh(session, &workers).await;
    assert_eq!(keep(&mut moved, out_of_bounds).await.0, "'RuntimeError'");
    let status = fs::read_to_string(format!("/proc/{}/status", moved.pid())).expect("alive");
    for name in ["SigCgt:", "SigBlk:"] {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .expect(name);
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
    moved.close().await;
    workers.shutdown().await;
}

/// Time goes on from where it was, wherever a session is, and stands still between two runs.
#[tokio::test(flavor = "multi_thread")]
async fn rule_12_the_clock_never_goes_back() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    let code = "var t = globalThis.t ?? performance.now(); \
        { const now = performance.timeOrigin + performance.now() - Date.now(); const p = t; t = performance.now(); [t >= p, t - p] }";
    keep(&mut session, code).await;
    // Real time passes while another session is at work.
    let mut other = open(&workers).await;
    let work = "{ const end = performance.now() + 700; while (performance.now() < end); } 0";
    for _ in 0..3 {
        keep(&mut other, work).await;
        session = move_to_fresh(session, &workers).await;
        let said = keep(&mut session, code).await.0;
        let after: f64 = said
            .trim_matches(|it: char| !it.is_ascii_digit())
            .rsplit(' ')
            .next()
            .and_then(|number| number.parse().ok())
            .expect("a number");
        // A run takes a few milliseconds; what lies between two of them does not count.
        assert!(said.contains("true") && after < 600.0, "{said}");
    }
    other.close().await;
    session.close().await;
    workers.shutdown().await;
}

/// After entry there is what the image names, the program, and what the kernel gives every process.
#[tokio::test(flavor = "multi_thread")]
async fn rule_13_entry_leaves_nothing_behind() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    keep(&mut session, "var b = new Uint8Array(3e6).fill(1); 0").await;
    let moved = move_to_fresh(session, &workers).await;
    let maps = fs::read_to_string(format!("/proc/{}/maps", moved.pid())).expect("alive");
    let table = moved.living.table.pages();
    let (program_end, above) = (table[0].end * 4096, 0x7000_0000_0000);
    for line in maps.lines() {
        let (start, rest) = line.split_once('-').expect("a range");
        let start = u64::from_str_radix(start, 16).expect("a number");
        let known = start < program_end
            || start >= above
            || rest.ends_with("[heap]")
            || table.iter().any(|it| it.contains(&(start / 4096)));
        assert!(known, "{line}");
    }
    let descriptors = fs::read_dir(format!("/proc/{}/fd", moved.pid())).expect("alive");
    let mut numbers: Vec<i32> = descriptors
        .map(|it| {
            it.expect("readable")
                .file_name()
                .to_str()
                .expect("a number")
                .parse()
                .expect("one")
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    moved.close().await;
    workers.shutdown().await;
}

/// An answer to an earlier evaluation is not taken for that of the present one.
#[tokio::test(flavor = "multi_thread")]
async fn rule_14_a_late_answer_is_nobodys() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    let pending = "await new Promise(r => globalThis.settle = r); 'late'";
    let said = keep(&mut session, pending).await.0;
    assert!(said.starts_with("NeverSettles"), "{said}");
    let mut moved = move_to_fresh(session, &workers).await;
    assert_eq!(
        keep(
            &mut moved,
            "settle(); await new Promise(r => setTimeout(r, 5)); 'now'"
        )
        .await
        .0,
        "'now'"
    );
    assert_eq!(keep(&mut moved, "'next'").await.0, "'next'");
    moved.close().await;
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_15_addresses_are_bounded_and_used_again() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    keep(&mut session, "var kept = []").await;
    let (refused, _) = refuse(
        &mut session,
        "for (let i = 0; i < 400; i++) kept.push(new WebAssembly.Memory({ initial: 1 })); kept.length",
    )
    .await;
    assert!(matches!(refused, Refused::Addresses { .. }), "{refused:?}");
    // To the end of the region and beyond: an error of the script, and the session stands.
    let attempt = session
        .run(
            request("let made = 0; try { for (;;) { kept.push(new WebAssembly.Memory({ initial: 1 })); made++ } } catch (e) { made > 100 && e.name }"),
            &mut |_| {},
            CancellationToken::new(),
        )
        .await
        .expect("a process");
    println!("{}", said(&attempt.ended().outcome));
    attempt.abort();
    assert_eq!(keep(&mut session, "kept.length").await.0, "0");
    session.close().await;
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_16_mappings_are_bounded() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    keep(&mut session, "var kept = []").await;
    let code = "for (let i = 0; i < 32000; i++) kept.push(new ArrayBuffer(1, { maxByteLength: 2 << 20 })); kept.length";
    let (refused, outcome) = refuse(&mut session, code).await;
    println!("{refused:?}: {}", said(&outcome));
    assert!(
        matches!(
            refused,
            Refused::Mappings { .. } | Refused::Addresses { .. } | Refused::NotDone
        ),
        "{refused:?}"
    );
    assert_eq!(keep(&mut session, "kept.length").await.0, "0");
    session.close().await;
    workers.shutdown().await;
}

/// Of what was said to a session there is what the script itself has, and no other copy: neither the
/// frame nor what was made of it on the way to V8.
#[tokio::test(flavor = "multi_thread")]
async fn rule_19_the_frame_is_wiped() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    let mut secret = request("input.length");
    secret.input_json = Some(format!("\"{}\"", "hunter2-".repeat(8)));
    let attempt = session
        .run(secret, &mut |_| {}, CancellationToken::new())
        .await
        .expect("a process");
    attempt.commit(StateId([1; 32])).expect("kept");
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut found = Vec::new();
    let living = &session.living;
    living
        .memory
        .read(&living.present, deadline, |page, bytes| {
            if memchr::memmem::find(bytes, b"hunter2-hunter2-").is_some() {
                found.push(format!("{:#x}", page * 4096));
            }
        })
        .expect("readable");
    assert_eq!(found.len(), 1, "{found:?}");
    session.close().await;
    workers.shutdown().await;
}

/// A plan that reaches outside of what a worker owns ends the process, whatever it would do there.
#[tokio::test(flavor = "multi_thread")]
async fn rule_17_entry_touches_nothing_outside() {
    use worker_protocol::layout::{PAGE, REGION_END, REGION_START};
    use worker_protocol::{Start, Step, StepKind, layer};

    let engine = crate::workers::Engine::embedded().expect("the engine");
    let program = engine.program().path();
    let image = engine.image_file().expect("the image");
    let page = PAGE as u64;
    let (first, end) = (REGION_START as u64, REGION_END as u64);
    let text = 0x160_0000;
    let variables = engine.bounds().segments[0].clone();
    for (kind, start, bytes) in [
        (StepKind::Map, 0x1_0000, page),
        (StepKind::Unmap, text, page),
        (StepKind::Read, text, page),
        (StepKind::Protect, variables.start - page, page),
        (
            StepKind::Map,
            variables.start,
            variables.end - variables.start + page,
        ),
        (StepKind::Map, first - page, page),
        (StepKind::Map, first - page, 2 * page),
        (StepKind::Map, end, page),
        (StepKind::Unmap, end - page, 2 * page),
        (StepKind::Drop, 0x7000_0000_0000, page),
        (StepKind::Map, first, u64::MAX - page + 1),
        (StepKind::Map, first + 1, page),
        (StepKind::Map, first, page + 1),
        (StepKind::Read, first, page),
    ] {
        let start_frame = Start {
            node_pid: std::process::id(),
            layers: layer::ALL,
            enter: true,
            constants_used: engine.facts().constants_used.to_vec(),
            ..Start::default()
        };
        let (program, image) = (program.clone(), image.try_clone().expect("a descriptor"));
        let step = Step {
            kind,
            start,
            bytes,
            // Far behind the end of the image, for reading.
            value: 1 << 40,
        };
        let entered = tokio::task::spawn_blocking(move || {
            let started =
                process_image::worker_process::WorkerProcess::start(&program, start_frame);
            let (mut process, _) = started.expect("the program starts");
            let resume = Step {
                kind: StepKind::Resume,
                start: 0,
                bytes: 0,
                value: 0,
            };
            process.become_image(&image, vec![step, resume]).is_ok()
        });
        let entered = entered.await.expect("no panic");
        assert!(!entered, "{kind:?} {start:#x} {bytes:#x}");
    }
}

/// A process that nobody asked for, made by a session's process, ends with the run that is looked at
/// next; the session stands.
#[tokio::test(flavor = "multi_thread")]
async fn rule_18_a_process_that_nobody_asked_for_is_killed() {
    let workers = workers().await;
    let mut session = open(&workers).await;
    keep(&mut session, "var n = 1").await;
    // As if the process had forked by itself: the node does not wait for this one.
    let rogue = session.living.line.get().fork_line(None).expect("ordered");
    rogue.is_ready().await;
    let (refused, _) = refuse(&mut session, "n = 2").await;
    assert!(matches!(refused, Refused::Family), "{refused:?}");
    drop(rogue);
    assert_eq!(keep(&mut session, "n").await.0, "1");
    session.close().await;
    workers.shutdown().await;
}
