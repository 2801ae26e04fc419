//! Builds the worker, a program of another kind than the node: static, at fixed addresses, with V8.
//! The node embeds it, so that one command builds all and nothing but the worker links V8. Beside it the
//! base image, taken from a running worker: every worker of the node starts from these pages.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The one target that a worker is made for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    for input in [
        "worker/src",
        "worker/build.rs",
        "worker/Cargo.toml",
        "worker-protocol/src",
        "worker-protocol/Cargo.toml",
        "process-image/src",
        "process-image/Cargo.toml",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo:rerun-if-changed={}", root.join(input).display());
    }
    for name in ["RUSTY_V8_MIRROR", "RUSTY_V8_ARCHIVE"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let target = env::var("TARGET").expect("cargo sets it");
    assert!(
        target == TARGET,
        "the worker supports {TARGET} only, not {target}"
    );

    let target_dir = target_dir().join("worker");
    let mut cargo = Command::new(env::var("CARGO").expect("cargo sets it"));
    cargo
        .current_dir(&root)
        .args([
            "build",
            "--locked",
            "--package",
            "worker",
            "--profile",
            "worker",
        ])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        // The flags are for the worker alone: with a target named, what runs at build time keeps
        // the usual ones.
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            "-Ctarget-feature=+crt-static\x1f-Crelocation-model=static",
        )
        .env_remove("RUSTFLAGS");
    // What cargo tells this script about the node's build must not reach the worker's.
    for (name, _) in env::vars() {
        if name.starts_with("CARGO_FEATURE_") || name.starts_with("CARGO_CFG_") {
            cargo.env_remove(name);
        }
    }
    for name in ["RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS", "RUSTDOCFLAGS"] {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "the worker does not build");

    let worker = target_dir.join(TARGET).join("worker").join("worker");
    assert!(
        fs::metadata(&worker).is_ok_and(|file| file.len() > 0),
        "no worker was built"
    );
    println!("cargo:rustc-env=WORKER_PROGRAM={}", worker.display());
    make_base_image(&worker);
}

/// Writes the base image, and a constant with what the worker said of itself.
fn make_base_image(worker: &Path) {
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let image = out.join("base.image");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&image)
        .expect("a writable OUT_DIR");
    let (ready, _) = process_image::base::make(worker, "", file)
        .unwrap_or_else(|error| panic!("no base image: {error:?}"));
    let bytes = |path: &Path| fs::read(path).expect("just written");
    let id = process_image::base::engine_id(&bytes(worker), &bytes(&image), &ready.v8_flags);
    let facts = format!(
        "Built {{ v8_version: {:?}, v8_flags: {:?}, cpu_baseline: {:?}, constants_used: &{:?}, \
         id: EngineId({:?}) }}",
        ready.v8_version, ready.v8_flags, ready.cpu_baseline, ready.constants_used, id.0
    );
    fs::write(out.join("engine_facts.rs"), facts).expect("a writable OUT_DIR");
    println!("cargo:rustc-env=BASE_IMAGE={}", image.display());
}

/// The node's target directory: `OUT_DIR` lies in `<it>/<profile>/build/<package>/out`.
fn target_dir() -> PathBuf {
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let build = out
        .ancestors()
        .find(|path| path.ends_with("build"))
        .expect("cargo's layout");
    build
        .parent()
        .and_then(Path::parent)
        .expect("cargo's layout")
        .to_path_buf()
}
