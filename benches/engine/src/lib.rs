//! The same flags in the form of two engines, and the same callers to decide about.
#![forbid(unsafe_code)]

pub mod flagbase;
pub mod shapes;
pub mod yggdrasil;

pub use shapes::{SHAPES, Shape};

/// How many callers take turns, so that no branch is learned by heart. A power of two.
pub const CALLERS: usize = 64;

/// One caller, known to both engines by the same attributes.
#[derive(Debug, Clone)]
pub struct Caller {
    pub user: String,
    pub role: String,
    pub version: String,
}

/// The callers of every shape: developers with the ids `user-0` to `user-63`.
pub fn callers() -> Vec<Caller> {
    (0..CALLERS)
        .map(|number| Caller {
            user: format!("user-{number}"),
            role: "developer".to_owned(),
            version: "2.4.1".to_owned(),
        })
        .collect()
}

/// An engine that has loaded one shape and decides for the caller of a number.
pub trait Engine {
    /// Whether the flag is on.
    fn decide(&self, caller: usize) -> bool;
}

/// The engines under their names, with `shape` loaded.
pub fn engines(shape: &Shape, callers: &[Caller]) -> Vec<(&'static str, Box<dyn Run>)> {
    vec![
        ("flagbase", Box::new(flagbase::Loaded::new(shape, callers))),
        ("yggdrasil", Box::new(yggdrasil::Loaded::new(shape, callers))),
    ]
}

/// Many decisions behind one virtual call, so that the loop itself is compiled for the engine.
pub trait Run {
    /// Decides `times` and returns how often the answer was yes.
    fn run(&self, times: usize) -> usize;
}

impl<E: Engine> Run for E {
    fn run(&self, times: usize) -> usize {
        (0..times)
            .filter(|turn| std::hint::black_box(self.decide(std::hint::black_box(turn % CALLERS))))
            .count()
    }
}
