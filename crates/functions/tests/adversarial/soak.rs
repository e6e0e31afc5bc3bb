//! After thousands of calls, good and bad, nothing has piled up.

use std::fs;

use flagbase_core::functions::Body;
use http::Request;

use crate::world::{Function, World, hasty, settings};

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn round(functions: &[Function; 4]) {
    let [native, misbehaving, proxy, command] = functions;
    native.post("/echo", Body::Whole(vec![b'x'; 16 << 10].into())).await.unwrap();
    for path in ["/trap", "/recurse", "/leak", "/allocate", "/large", "/headers", "/keyvalue?default"] {
        let _ = misbehaving.get(path).await;
    }
    for path in ["/", "/midway", "/silent", "/headers", "/leak", "/flood"] {
        let _ = proxy.get(path).await;
    }
    // Given up on while it answers.
    drop(proxy.serve(Request::get("/stuck").body(Body::Empty).unwrap()).await);
    for path in ["/", "/exit", "/environment", "/trap"] {
        let _ = command.get(path).await;
    }
}

// Beside others nothing can be said about memory, so this has a process of its own when it is asked for, and bounds that
// its neighbours do not reach otherwise.
#[tokio::test]
async fn memory_and_descriptors_stay_flat() {
    let world = World::new();
    let functions = [
        world.deploy("native", settings()).await,
        world.deploy("misbehaving", hasty()).await,
        world.deploy("proxy", hasty()).await,
        world.deploy("command", settings()).await,
    ];
    for _ in 0..20 {
        round(&functions).await;
    }
    let (memory, open) = (resident(), descriptors());
    for _ in 0..100 {
        round(&functions).await;
    }
    let (memory_after, open_after) = (resident(), descriptors());
    let grown = memory_after.saturating_sub(memory);
    assert!(grown < 256 << 20, "{memory} bytes became {memory_after}");
    assert!(open_after < open + 256, "{open} descriptors became {open_after}");
    assert_eq!(functions[0].get("/hello").await.unwrap().status, 200);
}
