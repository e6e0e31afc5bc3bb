//! Interfaces of WASI that every guest can import and none can use.

use flagbase_core::functions::{Grants, Settings};

use crate::world::{OPEN, World, settings};

#[tokio::test]
async fn sockets_names_of_hosts_and_files_are_refused() {
    // Even where functions may reach everything inside, and this one is granted all there is.
    let world = World::with(OPEN, 16, std::time::Duration::from_mins(1));
    for grants in [Grants::default(), settings().grants] {
        let guest = world.deploy("reaching", Settings { grants, ..settings() }).await;
        for (path, said) in
            [("/tcp", "denied"), ("/udp", "denied"), ("/name", "no resolver"), ("/files", "no directory")]
        {
            assert_eq!(guest.get(path).await.unwrap().text(), said, "{path}");
        }
    }
}
