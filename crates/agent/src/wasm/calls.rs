//! What WASI preview 1 asks for, as far as there is something to answer.

use std::io::{self, Read as _, Write as _};
use std::thread;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::{ClockId, Timespec, clock_gettime};
use wasmi::{Caller, Error, ExternType, Linker, Module, Val, ValType};

use super::memory::View;
use super::{WASI, World};

const SUCCESS: i32 = 0;
const BAD_DESCRIPTOR: i32 = 8;
const INVALID: i32 = 28;
const IO: i32 = 29;
const NOT_THERE: i32 = 52;
const NO_SEEK: i32 = 70;

/// Most bytes of one read or write.
const LARGEST: u32 = 1 << 20;
/// Most things that can be waited for at once.
const WAITS: u32 = 64;

type Answer = Result<i32, Error>;
type From<'a> = Caller<'a, World>;

/// Defines what there is.
pub(super) fn define(linker: &mut Linker<World>) -> Result<(), Error> {
    linker
        .func_wrap(WASI, "args_sizes_get", |from: From<'_>, count: u32, size: u32| {
            sizes(from, |world| &world.arguments, (count, size))
        })?
        .func_wrap(WASI, "args_get", |from: From<'_>, list: u32, at: u32| {
            strings(from, |world| &world.arguments, (list, at))
        })?
        .func_wrap(WASI, "environ_sizes_get", |from: From<'_>, count: u32, size: u32| {
            sizes(from, |world| &world.variables, (count, size))
        })?
        .func_wrap(WASI, "environ_get", |from: From<'_>, list: u32, at: u32| {
            strings(from, |world| &world.variables, (list, at))
        })?
        .func_wrap(WASI, "clock_time_get", clock_time)?
        .func_wrap(WASI, "clock_res_get", |mut from: From<'_>, _: u32, at: u32| -> Answer {
            View::of(&mut from)?.write(at, &1_u64.to_le_bytes())?;
            Ok(SUCCESS)
        })?
        .func_wrap(WASI, "random_get", random)?
        .func_wrap(WASI, "fd_read", read)?
        .func_wrap(WASI, "fd_write", write)?
        .func_wrap(WASI, "fd_fdstat_get", describe)?
        .func_wrap(WASI, "fd_close", |_: From<'_>, descriptor: u32| known(descriptor))?
        .func_wrap(WASI, "fd_fdstat_set_flags", |_: From<'_>, descriptor: u32, _: u32| known(descriptor))?
        .func_wrap(
            WASI,
            "fd_seek",
            |_: From<'_>, descriptor: u32, _: i64, _: u32, _: u32| {
                if descriptor < 3 { NO_SEEK } else { BAD_DESCRIPTOR }
            },
        )?
        .func_wrap(WASI, "fd_prestat_get", |_: From<'_>, _: u32, _: u32| BAD_DESCRIPTOR)?
        .func_wrap(WASI, "fd_prestat_dir_name", |_: From<'_>, _: u32, _: u32, _: u32| BAD_DESCRIPTOR)?
        .func_wrap(WASI, "poll_oneoff", poll)?
        .func_wrap(WASI, "sched_yield", |_: From<'_>| {
            thread::yield_now();
            SUCCESS
        })?
        .func_wrap(WASI, "proc_exit", |_: From<'_>, status: i32| -> Result<(), Error> {
            Err(Error::i32_exit(status))
        })?;
    Ok(())
}

/// Whatever else of WASI a module imports is there, and answers that it is not.
pub(super) fn refuse_the_rest(linker: &mut Linker<World>, module: &Module) -> Result<(), Error> {
    for import in module.imports() {
        let (space, name) = (import.module(), import.name());
        if space != WASI {
            let text = format!("the module imports `{name}` of `{space}`; there is only `{WASI}`");
            return Err(Error::new(text));
        }
        let ExternType::Func(kind) = import.ty() else {
            return Err(Error::new(format!("the module imports `{name}`, which is no function")));
        };
        let answers = kind.results() == [ValType::I32];
        // Those that were defined stay: a name cannot be defined twice.
        let _ = linker.func_new(WASI, name, kind.clone(), move |_, _, results| {
            if let (true, Some(result)) = (answers, results.first_mut()) {
                *result = Val::I32(NOT_THERE);
            }
            Ok(())
        });
    }
    Ok(())
}

fn known(descriptor: u32) -> i32 {
    if descriptor < 3 { SUCCESS } else { BAD_DESCRIPTOR }
}

fn sizes(mut from: From<'_>, of: impl Fn(&World) -> &Vec<Vec<u8>>, (count, size): (u32, u32)) -> Answer {
    let mut view = View::of(&mut from)?;
    let texts = of(view.world());
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let (length, bytes) = (number(texts.len()), number(texts.iter().map(|text| text.len() + 1).sum()));
    view.write(count, &length)?;
    view.write(size, &bytes)?;
    Ok(SUCCESS)
}

fn strings(
    mut from: From<'_>,
    of: impl Fn(&World) -> &Vec<Vec<u8>>,
    (mut list, mut at): (u32, u32),
) -> Answer {
    let mut view = View::of(&mut from)?;
    let texts = of(view.world()).clone();
    for mut text in texts {
        text.push(0);
        view.write(list, &at.to_le_bytes())?;
        view.write(at, &text)?;
        list = list.saturating_add(4);
        at = at.saturating_add(u32::try_from(text.len()).unwrap_or(u32::MAX));
    }
    Ok(SUCCESS)
}

fn now(clock: u32) -> Option<u64> {
    let clock = match clock {
        0 => ClockId::Realtime,
        1 => ClockId::Monotonic,
        2 => ClockId::ProcessCPUTime,
        3 => ClockId::ThreadCPUTime,
        _ => return None,
    };
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    let (seconds, nanoseconds) = (u64::try_from(tv_sec).ok()?, u64::try_from(tv_nsec).ok()?);
    Some(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
}

fn clock_time(mut from: From<'_>, clock: u32, _precision: i64, at: u32) -> Answer {
    let Some(now) = now(clock) else { return Ok(INVALID) };
    View::of(&mut from)?.write(at, &now.to_le_bytes())?;
    Ok(SUCCESS)
}

fn random(mut from: From<'_>, at: u32, length: u32) -> Answer {
    let mut view = View::of(&mut from)?;
    let mut left = view.slice_mut(at, length)?;
    while !left.is_empty() {
        match getrandom(&mut *left, GetRandomFlags::empty()) {
            Ok(filled) => left = left.get_mut(filled..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Ok(IO),
        }
    }
    Ok(SUCCESS)
}

fn read(mut from: From<'_>, descriptor: u32, list: u32, count: u32, done: u32) -> Answer {
    if descriptor != 0 {
        return Ok(BAD_DESCRIPTOR);
    }
    let mut view = View::of(&mut from)?;
    let mut total = 0_u32;
    for index in 0..count {
        let (at, length) = view.vector(list, index)?;
        let into = view.slice_mut(at, length.min(LARGEST))?;
        if into.is_empty() {
            continue;
        }
        let Ok(read) = io::stdin().read(into) else { return Ok(IO) };
        total = total.saturating_add(u32::try_from(read).unwrap_or(u32::MAX));
        // What is not there yet is not waited for.
        break;
    }
    view.write(done, &total.to_le_bytes())?;
    Ok(SUCCESS)
}

fn write(mut from: From<'_>, descriptor: u32, list: u32, count: u32, done: u32) -> Answer {
    let mut view = View::of(&mut from)?;
    let mut total = 0_u32;
    for index in 0..count {
        let (at, length) = view.vector(list, index)?;
        let bytes = view.slice(at, length)?;
        let written = match descriptor {
            1 => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            2 => io::stderr().write_all(bytes),
            _ => return Ok(BAD_DESCRIPTOR),
        };
        if written.is_err() {
            return Ok(IO);
        }
        total = total.saturating_add(length);
    }
    view.write(done, &total.to_le_bytes())?;
    Ok(SUCCESS)
}

/// A character device with every right, so that no library takes it for a terminal.
fn describe(mut from: From<'_>, descriptor: u32, at: u32) -> Answer {
    if known(descriptor) != SUCCESS {
        return Ok(BAD_DESCRIPTOR);
    }
    let mut description = [0_u8; 24];
    let [kind, _, _, _, _, _, _, _, rights @ ..] = &mut description;
    *kind = 2;
    rights.fill(0xff);
    View::of(&mut from)?.write(at, &description)?;
    Ok(SUCCESS)
}

/// Waits. Streams can always be used; without any, the first clock is waited for.
fn poll(mut from: From<'_>, list: u32, events: u32, count: u32, done: u32) -> Answer {
    if count == 0 || count > WAITS {
        return Ok(INVALID);
    }
    let mut view = View::of(&mut from)?;
    let mut ready = Vec::new();
    let mut soonest: Option<(u64, [u8; 32])> = None;
    for index in 0..count {
        let at = list.saturating_add(index * 48);
        let kind = view.slice(at.saturating_add(8), 1)?.first().copied().unwrap_or_default();
        let event = event(view.u64(at)?, kind);
        if kind != 0 {
            ready.push(event);
            continue;
        }
        let left = left(&view, at)?;
        if soonest.is_none_or(|(time, _)| left < time) {
            soonest = Some((left, event));
        }
    }
    if let (true, Some((left, event))) = (ready.is_empty(), soonest) {
        thread::sleep(Duration::from_nanos(left));
        ready.push(event);
    }
    view.write(events, &ready.concat())?;
    view.write(done, &u32::try_from(ready.len()).unwrap_or_default().to_le_bytes())?;
    Ok(SUCCESS)
}

/// Nanoseconds until a clock comes to where it is waited for.
fn left(view: &View<'_, '_>, at: u32) -> Result<u64, Error> {
    let clock = view.u32(at.saturating_add(16))?;
    let time = view.u64(at.saturating_add(24))?;
    let absolute = view.slice(at.saturating_add(40), 1)?.first().is_some_and(|flags| flags & 1 == 1);
    Ok(if absolute { time.saturating_sub(now(clock).unwrap_or_default()) } else { time })
}

fn event(name: u64, kind: u8) -> [u8; 32] {
    let mut event = [0_u8; 32];
    for (to, from) in event.iter_mut().zip(name.to_le_bytes()) {
        *to = from;
    }
    if let Some(to) = event.get_mut(10) {
        *to = kind;
    }
    if let (1 | 2, Some(to)) = (kind, event.get_mut(16)) {
        *to = 1;
    }
    event
}
