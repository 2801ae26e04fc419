//! What is acknowledged survives the loss of power.
//!
//! A `Machine` runs a victim (this test binary once more, with a library preloaded) until the library kills
//! it in the middle of a change; then what was not synced is undone, and the next life begins on what is
//! left. `../power_loss/README.md` tells what the library models. Two variables set how much is done:
//! `POWER_LOSS_CRASHES` and `POWER_LOSS_SEED`.

mod journal;
mod log_crash;
mod log_model;
mod machine;
mod model_test;
mod naive_log;
mod state_crash;
mod trial;
mod undo;

use machine::Inside;

/// Not a test of anything: what this program does when a `Machine` has started it.
#[test]
fn victim() {
    let Some((name, inside)) = Inside::look() else {
        return;
    };
    let done = match name.as_str() {
        log_crash::VICTIM => log_crash::live(&inside),
        state_crash::VICTIM => state_crash::live(&inside),
        naive_log::VICTIM => naive_log::live(&inside),
        name => model_test::live(name, &inside),
    };
    done.expect("the disk works until the power goes");
}
