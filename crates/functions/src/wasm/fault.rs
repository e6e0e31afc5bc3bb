//! What went wrong in a guest, in words for its caller; the details go to the function's log.

use flagbase_core::functions::{Fault, Level, Stream};
use wasmtime::{Store, Trap};

use super::guest::Guest;

/// Why a call into the guest came to nothing. What the trace says goes to the function's log, not to the caller.
pub(crate) fn of(error: &wasmtime::Error, store: &Store<Guest>) -> Fault {
    let guest = store.data();
    guest.call.log(Level::Error, Stream::Host, &format!("{error:#}"), Vec::new());
    if let Some(limit) = guest.meter.refused() {
        return Fault::LimitReached(limit.to_owned());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Fault::TimedOut(guest.call.limits().timeout),
        Some(Trap::StackOverflow) => {
            Fault::LimitReached("its stack is full; does it call itself without end?".to_owned())
        }
        Some(Trap::UnreachableCodeReached) => Fault::Trapped(
            "it gave up (`unreachable`: as a rule a panic, an assertion or `abort`)".to_owned(),
        ),
        Some(trap) => Fault::Trapped(trap.to_string().replace("wasm trap: ", "")),
        None if error.is::<wasmtime::PoolConcurrencyLimitError>() => Fault::Exhausted,
        None => Fault::Trapped("the call into it ended early; its log says why".to_owned()),
    }
}
