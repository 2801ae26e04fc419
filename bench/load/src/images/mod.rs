//! Process images without a node: how long it takes to start, to run in a session and keep what the run
//! changed, and to go on elsewhere.

mod world;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use process_image::worker_process::WorkerProcess;

use self::world::{Engine, Session, Timings, failed, first_result, frame, nameless, run_in};
use crate::error::LoadError;
use crate::latency::Latency;

/// What is run in a session, and how it is called in the table. The first part runs once.
const KINDS: [(&str, &str, &str); 10] = [
    ("a counter", "var n = 0", "n = n + 1"),
    (
        "an entry of a Map",
        "var m = new Map()",
        "m.set('k' + m.size, { at: m.size }); m.size",
    ),
    ("a call of a closure", "var f = (c => () => ++c)(0)", "f()"),
    (
        "parse 100 KB of JSON",
        "var text = JSON.stringify(Array.from({ length: 2000 }, (_, i) => ({ id: i, name: 'row ' + i, ok: i % 2 == 0 })))",
        "var rows = JSON.parse(text); rows.length",
    ),
    (
        "map 2,000 rows",
        "var rows = Array.from({ length: 2000 }, (_, i) => ({ id: i, name: 'row ' + i }))",
        "var mapped = rows.map(r => ({ ...r, id: r.id + 1 })); mapped.length",
    ),
    (
        "a loop of 1,000,000",
        "var hot = n => { let s = 0; for (let i = 0; i < n; i++) s = (s * 31 + i) | 0; return s }",
        "hot(1e6)",
    ),
    (
        "churn of 200,000 objects",
        "var keep",
        "{ const a = []; for (let i = 0; i < 2e5; i++) a.push({ i, s: 'x' + i }); keep = a.filter(x => x.i % 97 == 0); keep.length }",
    ),
    (
        "write 1 MB of bytes",
        "var u = new Uint8Array(1 << 20)",
        "u.fill(u[0] + 1); u[9]",
    ),
    (
        "a caught exception",
        "var stacks = []",
        "try { null.x } catch (e) { stacks.push(e.stack); stacks.length }",
    ),
    (
        "an async function",
        "var go = async () => { let s = 0; for (let i = 0; i < 20; i++) s += await i; return s }",
        "await go()",
    ),
];

/// What to measure.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// The worker program that a build leaves under target/worker
    #[arg(long)]
    worker: PathBuf,
    /// A tenth of everything
    #[arg(long)]
    quick: bool,
}

/// Measures all of it and prints a table for each part, in Markdown.
pub fn images(args: &ImagesArgs) -> Result<(), LoadError> {
    let engine = Engine::new(&args.worker, "")?;
    println!(
        "Base image: {} pages, {} KiB.",
        engine.base.present().count(),
        engine.base.file_bytes() >> 10
    );
    let few = |usual: usize| {
        if args.quick {
            usual.div_ceil(10)
        } else {
            usual
        }
    };
    starts(&engine, few(20))?;
    let zygote = engine.start_from(&engine.base, &engine.image)?;
    kinds(&engine, &zygote, few(100))?;
    warm(&engine, &zygote, few(1000))?;
    let sizes: &[usize] = if args.quick {
        &[0, 45]
    } else {
        &[0, 45, 165, 495]
    };
    entries(&engine, &zygote, sizes, few(20).max(3))?;
    drop(zygote);
    young_generations(args, few(30).max(5))
}

/// What the size of V8's young generation is for: speed of a script that allocates, against the size of
/// what a run changes.
fn young_generations(args: &ImagesArgs, rounds: usize) -> Result<(), LoadError> {
    const ALLOCATES: &str =
        "{ let last; for (let i = 0; i < 1e6; i++) last = { i, a: [i, i + 1] }; last.i }";
    println!(
        "\n| semi-space | base image KiB | 1,000,000 short-lived objects, ms | its delta KB | 200,000 objects, ms | its delta KB | a counter's delta KB |\n|---|---|---|---|---|---|---|"
    );
    for megabytes in [0, 1, 2, 4, 8, 16] {
        let (name, flags) = match megabytes {
            0 => ("V8's own choice".to_owned(), String::new()),
            _ => (
                format!("{megabytes} MB"),
                format!("--min-semi-space-size={megabytes} --max-semi-space-size={megabytes}"),
            ),
        };
        let engine = Engine::new(&args.worker, &flags)?;
        let zygote = engine.start_from(&engine.base, &engine.image)?;
        let mut cells = vec![name, (engine.base.file_bytes() >> 10).to_string()];
        for (opening, code) in [
            ("0", ALLOCATES),
            (KINDS[6].1, KINDS[6].2),
            (KINDS[0].1, KINDS[0].2),
        ] {
            let mut session = engine.session(&zygote)?.run(&engine.bounds, opening)?.0;
            let mut all = Vec::new();
            for _ in 0..rounds {
                let (next, timings) = session.run(&engine.bounds, code)?;
                session = next;
                all.push(timings);
            }
            all.sort_by_key(|it| it.evaluate);
            if code != KINDS[0].2 {
                cells.push(ms(all[rounds / 2].evaluate));
            }
            all.sort_by_key(|it| it.bytes);
            cells.push(format!("{:.1}", all[rounds / 2].bytes as f64 / 1e3));
        }
        println!("| {} |", cells.join(" | "));
    }
    Ok(())
}

fn ms(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}

/// Half and 99 of 100, in milliseconds.
fn quantiles(latency: &Latency) -> String {
    let summary = latency.summary();
    let ms = |us: u64| format!("{:.2}", us as f64 / 1e3);
    format!("{} | {}", ms(summary.p50_us), ms(summary.p99_us))
}

fn starts(engine: &Engine, rounds: usize) -> Result<(), LoadError> {
    let [mut v8, mut image] = [Latency::new(), Latency::new()];
    for _ in 0..rounds {
        let begun = Instant::now();
        first_result(&engine.start_v8()?)?;
        v8.record(begun.elapsed());
        let begun = Instant::now();
        first_result(&engine.start_from(&engine.base, &engine.image)?)?;
        image.record(begun.elapsed());
    }
    println!(
        "\n| process start to first result, {rounds} each, alternating | p50 ms | p99 ms |\n|---|---|---|"
    );
    println!("| by starting V8 | {} |", quantiles(&v8));
    println!("| by entering the base image | {} |", quantiles(&image));
    let ratio = v8.summary().p50_us as f64 / image.summary().p50_us as f64;
    println!("| ratio of the halves | {ratio:.1} | |");
    Ok(())
}

fn kinds(engine: &Engine, zygote: &WorkerProcess, rounds: usize) -> Result<(), LoadError> {
    println!(
        "\n| {rounds} runs in a session, p50 | evaluate ms | scan ms | compare ms | compress ms | changed pages | delta KB | largest KB |\n|---|---|---|---|---|---|---|---|"
    );
    for (name, opening, code) in KINDS {
        let mut session = engine.session(zygote)?.run(&engine.bounds, opening)?.0;
        let mut all = Vec::new();
        for _ in 0..rounds {
            let (next, timings) = session.run(&engine.bounds, code)?;
            session = next;
            all.push(timings);
        }
        println!("| {name} | {} |", row(&all));
    }
    Ok(())
}

fn row(all: &[Timings]) -> String {
    fn half<T: Ord + Copy>(all: &[Timings], of: impl Fn(&Timings) -> T) -> T {
        let mut values: Vec<T> = all.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    }
    let kb = |bytes: usize| format!("{:.1}", bytes as f64 / 1e3);
    let largest = all.iter().map(|it| it.bytes).max().unwrap_or(0);
    [
        ms(half(all, |it| it.evaluate)),
        ms(half(all, |it| it.scan)),
        ms(half(all, |it| it.delta)),
        ms(half(all, |it| it.encode)),
        half(all, |it| it.changed).to_string(),
        kb(half(all, |it| it.bytes)),
        kb(largest),
    ]
    .join(" | ")
}

/// From the frame to the result and, in a session, to the encoded delta; forks are made ahead of both.
fn warm(engine: &Engine, zygote: &WorkerProcess, rounds: usize) -> Result<(), LoadError> {
    println!("\n| a small run, {rounds} each, alternating | p50 ms | p99 ms |\n|---|---|---|");
    for code in ["1 + 2", "n = (globalThis.n ?? 0) + 1"] {
        let mut session = engine.session(zygote)?.run(&engine.bounds, "var n = 0")?.0;
        let [mut stateless, mut kept] = [Latency::new(), Latency::new()];
        for _ in 0..rounds {
            let mut run = zygote.fork_run().map_err(failed("fork a run"))?;
            let frame = frame(code);
            let begun = Instant::now();
            run_in(&mut run, frame)?;
            stateless.record(begun.elapsed());
            drop(run);
            let (next, timings) = session.run(&engine.bounds, code)?;
            session = next;
            kept.record(timings.whole);
        }
        println!("| `{code}`, stateless | {} |", quantiles(&stateless));
        println!("| `{code}`, in a session | {} |", quantiles(&kept));
    }
    Ok(())
}

fn entries(
    engine: &Engine,
    zygote: &WorkerProcess,
    sizes_mb: &[usize],
    rounds: usize,
) -> Result<(), LoadError> {
    println!("\n| image to first result, {rounds} each | p50 ms | p99 ms |\n|---|---|---|");
    for megabytes in sizes_mb {
        let session = grown(engine, zygote, *megabytes)?;
        let file = nameless()?;
        let header = session.save(file.try_clone().map_err(failed("share a file"))?)?;
        drop(session);
        let [mut by_exec, mut by_fork] = [Latency::new(), Latency::new()];
        for _ in 0..rounds {
            let begun = Instant::now();
            first_result(&engine.start_from(&header, &file)?)?;
            by_exec.record(begun.elapsed());
            let begun = Instant::now();
            first_result(&engine.fork_into(zygote, &header, &file)?)?;
            by_fork.record(begun.elapsed());
        }
        let size = header.file_bytes() >> 20;
        println!(
            "| {size} MiB, in a fresh program | {} |",
            quantiles(&by_exec)
        );
        println!(
            "| {size} MiB, in a fork of the base image | {} |",
            quantiles(&by_fork)
        );
    }
    Ok(())
}

/// A session that holds about so much, in objects, strings and arrays.
fn grown(engine: &Engine, zygote: &WorkerProcess, megabytes: usize) -> Result<Session, LoadError> {
    let mut session = engine
        .session(zygote)?
        .run(&engine.bounds, "var kept = []")?
        .0;
    let more = "{ const rows = []; for (let i = 0; i < 8000; i++) rows.push({ i, s: 'row ' + i + kept.length, a: [i, i + .5, i] }); kept.push(rows); kept.length }";
    while session.present.count() * 4096 < (megabytes as u64) << 20 {
        session = session.run(&engine.bounds, more)?.0;
    }
    Ok(session)
}
