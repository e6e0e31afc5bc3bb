//! The memory of the guest after it has loaded a source.

use std::time::Duration;

use flagbase_core::functions::{PrepareError, Serves};
use wasmtime::{
    Caller, Engine, Extern, Func, Instance, Linker, Memory, MemoryType, Module, Store, StoreLimits,
    StoreLimitsBuilder, Trap, Val,
};

use super::parts::{INITIALIZE, MEMORY, PAGE, Parts};

/// The web's interfaces, written in JavaScript: an expression that is a function of the host.
const PRELUDE: &str = concat!(
    "(function (host) {'use strict';",
    include_str!("../../../guests/javascript/prelude/text.js"),
    include_str!("../../../guests/javascript/prelude/url.js"),
    include_str!("../../../guests/javascript/prelude/stream.js"),
    include_str!("../../../guests/javascript/prelude/sink.js"),
    include_str!("../../../guests/javascript/prelude/http.js"),
    include_str!("../../../guests/javascript/prelude/form.js"),
    include_str!("../../../guests/javascript/prelude/global.js"),
    include_str!("../../../guests/javascript/prelude/flagbase.js"),
    include_str!("../../../guests/javascript/prelude/dispatch.js"),
    "})"
);

/// Memory that a module may take while it is loaded; what it holds then is kept for each version.
const MEMORY_LIMIT: usize = 64 << 20;

/// Where the prelude is while it is read.
const SCRATCH: u32 = 4_096;

/// Lines of `console` that are kept while a module is loaded, and bytes of each.
const LINES: usize = 100;
const LINE_LENGTH: u32 = 1_000;

/// A gap of fewer zero bytes is kept: the description of a piece of memory takes about so many.
const GAP: usize = 64;

/// What a source became.
pub(super) struct Taken {
    /// Pages of memory.
    pub(super) pages: u64,
    /// What they hold: address and bytes; zero elsewhere.
    pub(super) data: Vec<(usize, Vec<u8>)>,
    /// What the module exports handlers for.
    pub(super) serves: Vec<Serves>,
    /// What it wrote with `console`.
    pub(super) lines: Vec<String>,
}

struct Loading {
    limits: StoreLimits,
    lines: Vec<String>,
}

/// Loads `source`, a name and its text, in the guest of which `module` is the code, until the engine's epoch is raised.
pub(super) fn take(
    (engine, module): (&Engine, &Module),
    parts: &Parts,
    source: (&str, &str),
    patience: Duration,
) -> Result<Taken, PrepareError> {
    let limits = StoreLimitsBuilder::new().memory_size(MEMORY_LIMIT).build();
    let mut store = Store::new(engine, Loading { limits, lines: Vec::new() });
    store.limiter(|loading| &mut loading.limits);
    store.set_epoch_deadline(1);
    let guest = Guest::start(&mut store, module, parts).map_err(|error| unavailable(&error))?;
    let prelude = guest.prelude(&mut store).map_err(|error| unavailable(&error))?;
    if let Err(text) = prelude {
        return Err(PrepareError::Unavailable(text.into()));
    }
    let said = guest.load(&mut store, source).map_err(|error| trapped(source.0, &error, patience))?;
    let serves = said.map_err(PrepareError::Rejected)?;
    let (pages, data) = guest.memory(&store, stack(parts));
    Ok(Taken { pages, data, serves: parse(&serves), lines: std::mem::take(&mut store.data_mut().lines) })
}

/// Bytes of the stack, which comes before all data and holds nothing between calls.
fn stack(parts: &Parts) -> usize {
    parts.data.iter().map(|(address, _)| *address).min().unwrap_or_default()
}

fn parse(serves: &str) -> Vec<Serves> {
    let known =
        [("requests", Serves::Requests), ("events", Serves::Events), ("schedules", Serves::Schedules)];
    known
        .iter()
        .filter(|(word, _)| serves.split(' ').any(|said| said == *word))
        .map(|(_, serves)| *serves)
        .collect()
}

fn unavailable(error: &wasmtime::Error) -> PrepareError {
    PrepareError::Unavailable(format!("{error:#}").into())
}

/// The guest broke while it loaded: too long, too deep, or too large.
fn trapped(name: &str, error: &wasmtime::Error, patience: Duration) -> PrepareError {
    if error.downcast_ref() == Some(&Trap::Interrupt) {
        return PrepareError::TooMuch(format!(
            "the top level of `{name}` did not end within {} s of processor time; it runs once, when it is deployed: look for a \
             loop without an end, or move the work into a handler",
            patience.as_secs().max(1)
        ));
    }
    let cause = error.root_cause();
    PrepareError::TooMuch(format!(
        "`{name}` cannot be loaded: {cause}; what runs at its top level must fit into {} MiB and nest less deeply",
        MEMORY_LIMIT >> 20
    ))
}

/// The guest, running.
struct Guest {
    instance: Instance,
    memory: Memory,
}

impl Guest {
    fn start(store: &mut Store<Loading>, module: &Module, parts: &Parts) -> wasmtime::Result<Self> {
        let engine = store.engine().clone();
        let memory = Memory::new(&mut *store, MemoryType::new(u32::try_from(parts.pages)?, None))?;
        for (address, bytes) in &parts.data {
            memory.write(&mut *store, *address, bytes)?;
        }
        let mut linker = Linker::new(&engine);
        linker.define(&mut *store, MEMORY.0, MEMORY.1, memory)?;
        for import in module.imports() {
            if let Some(ty) = import.ty().func() {
                let function = match (import.module(), import.name()) {
                    (_, "write") => Func::new(&mut *store, ty.clone(), |caller, arguments, _| {
                        keep_line(caller, arguments);
                        Ok(())
                    }),
                    (interface, name) => {
                        let what = format!("{interface} {name}");
                        Func::new(&mut *store, ty.clone(), move |_, _, _| {
                            Err(wasmtime::Error::msg(format!(
                                "`{what}` was called while the module is loaded"
                            )))
                        })
                    }
                };
                linker.define(&mut *store, import.module(), import.name(), function)?;
            }
        }
        let instance = linker.instantiate(&mut *store, module)?;
        for function in [INITIALIZE, "flagbase_start"] {
            instance.get_typed_func::<(), ()>(&mut *store, function)?.call(&mut *store, ())?;
        }
        Ok(Self { instance, memory })
    }

    fn prelude(&self, store: &mut Store<Loading>) -> wasmtime::Result<Result<String, String>> {
        // At the far end of the stack, which is not used so deeply now and not kept: the heap would keep a hole.
        self.memory.write(&mut *store, SCRATCH as usize, PRELUDE.as_bytes())?;
        self.memory.write(&mut *store, SCRATCH as usize + PRELUDE.len(), &[0])?;
        let length = u32::try_from(PRELUDE.len())?;
        let function = self.instance.get_typed_func::<(u32, u32), u32>(&mut *store, "flagbase_prelude")?;
        let said = function.call(&mut *store, (SCRATCH, length))?;
        self.said(store, said)
    }

    fn load(
        &self,
        store: &mut Store<Loading>,
        source: (&str, &str),
    ) -> wasmtime::Result<Result<String, String>> {
        let name = self.give(store, source.0)?;
        let text = self.give(store, source.1)?;
        let length = u32::try_from(source.1.len())?;
        let function = self.instance.get_typed_func::<(u32, u32, u32), u32>(&mut *store, "flagbase_load")?;
        let said = function.call(&mut *store, (name, text, length))?;
        self.said(store, said)
    }

    /// Copies a text into the guest, with a zero byte at its end.
    fn give(&self, store: &mut Store<Loading>, text: &str) -> wasmtime::Result<u32> {
        let length = u32::try_from(text.len() + 1)?;
        let allocate =
            self.instance.get_typed_func::<(u32, u32, u32, u32), u32>(&mut *store, "cabi_realloc")?;
        let address = allocate.call(&mut *store, (0, 0, 1, length))?;
        self.memory.write(&mut *store, address as usize, text.as_bytes())?;
        self.memory.write(&mut *store, address as usize + text.len(), &[0])?;
        Ok(address)
    }

    /// Reads what loading said: whether it failed, and a text.
    fn said(&self, store: &Store<Loading>, address: u32) -> wasmtime::Result<Result<String, String>> {
        let mut words = [0; 12];
        self.memory.read(store, address as usize, &mut words)?;
        let word = |at: usize| {
            words.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes)
        };
        let text = text(self.memory.data(store), word(4), word(8));
        Ok(if word(0) == 0 { Ok(text) } else { Err(text) })
    }

    /// All of memory that is not zero, without the first `skip` bytes.
    fn memory(&self, store: &Store<Loading>, skip: usize) -> (u64, Vec<(usize, Vec<u8>)>) {
        let data = self.memory.data(store);
        ((data.len() / PAGE) as u64, pieces(data, skip))
    }
}

fn text(memory: &[u8], address: u32, length: u32) -> String {
    let bytes =
        memory.get(address as usize..).and_then(|rest| rest.get(..length as usize)).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// `flagbase:faas/log.write`, while a module is loaded: level, message, fields.
fn keep_line(mut caller: Caller<'_, Loading>, arguments: &[Val]) {
    let number = |at: usize| arguments.get(at).and_then(Val::i32).unwrap_or_default().cast_unsigned();
    if let Some(Extern::Memory(memory)) = caller.get_export(MEMORY.1) {
        let line = text(memory.data(&caller), number(1), number(2).min(LINE_LENGTH));
        if caller.data().lines.len() < LINES {
            caller.data_mut().lines.push(line);
        }
    }
}

/// The pieces of `data` between long runs of zeros, from `at` on.
fn pieces(data: &[u8], mut at: usize) -> Vec<(usize, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(start) =
        data.get(at..).and_then(|rest| rest.iter().position(|byte| *byte != 0)).map(|n| n + at)
    {
        let (mut end, mut zeros) = (start, 0);
        for (index, byte) in data.iter().enumerate().skip(start) {
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            if zeros >= GAP {
                break;
            }
            if *byte != 0 {
                end = index + 1;
            }
        }
        all.push((start, data.get(start..end).unwrap_or_default().to_vec()));
        at = end;
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zeros_in_between_are_left_out_when_they_are_many() {
        let mut data = vec![0; 1_000];
        data[10] = 1;
        data[20] = 2;
        data[900] = 3;
        let found = pieces(&data, 0);
        assert_eq!(found, [(10, data[10..21].to_vec()), (900, vec![3])]);
        assert_eq!(pieces(&data, 100), [(900, vec![3])], "what is skipped is not kept");
        assert!(pieces(&[0; 100], 0).is_empty() && pieces(&[], 0).is_empty());
    }

    #[test]
    fn what_a_module_serves_is_read() {
        assert_eq!(parse("schedules requests"), [Serves::Requests, Serves::Schedules]);
        assert!(parse("").is_empty());
    }

    proptest! {
        #[test]
        fn pieces_make_the_whole(data in proptest::collection::vec(prop_oneof![9 => Just(0_u8), 1 => any::<u8>()], 0..2_000)) {
            let mut whole = vec![0; data.len()];
            for (address, bytes) in pieces(&data, 0) {
                prop_assert!(bytes.first() != Some(&0) && bytes.last() != Some(&0));
                whole[address..address + bytes.len()].copy_from_slice(&bytes);
            }
            prop_assert_eq!(whole, data);
        }
    }
}
