//! What compiled code depends on beside the code: the engine, how it is set, and what the processor can do.

use std::hash::{Hash as _, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

/// 16 hexadecimal digits that change with the engine, its settings, or the processor's features.
pub(super) fn of(engine: &Engine) -> String {
    let mut hasher = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let hash = hex::encode(hasher.0.finalize());
    hash.get(..16).unwrap_or(&hash).to_owned()
}

/// The same on every build, unlike what the standard library hashes with.
struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::engine::{Machine, Room, config};

    #[test]
    fn another_setting_is_another_tag() {
        let wide = Engine::new(&config(Room::Wide, false)).unwrap();
        let lazy = Engine::new(&config(Room::Lazy, false)).unwrap();
        assert_eq!(of(&wide), of(&Engine::new(&config(Room::Wide, false)).unwrap()));
        assert_ne!(of(&wide), of(&lazy));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_processor_that_can_do_less_is_another_tag() {
        let here = config(Room::Wide, false);
        // Named, the target is any processor of this kind: nothing is assumed that only this one can do.
        let mut anywhere = config(Room::Wide, false);
        anywhere.target("x86_64-unknown-linux-gnu").unwrap();
        assert_ne!(of(&Engine::new(&here).unwrap()), of(&Engine::new(&anywhere).unwrap()));
    }

    #[test]
    fn what_a_child_compiles_fits_the_engine_with_the_pool() {
        let machine = Machine::new(10).unwrap();
        assert_eq!(of(&machine.engine), of(&Engine::new(&config(machine.room, false)).unwrap()));
        machine.epochs.stop();
    }
}
