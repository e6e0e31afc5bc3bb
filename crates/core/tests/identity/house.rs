//! A whole identity on the fakes.

use std::{sync::Arc, time::Duration};

use flagbase_core::{
    accounts::Accounts,
    caller::Caller,
    catalog::{Catalog as _, Change},
    environments::{Environment, EnvironmentKind, Environments},
    feed::Feed,
    flags::Asked,
    identity::{
        Credentials, Identity, IdentityConfig, Login, Origin, Profile, Register, Registration, Secret,
        UserPatch,
    },
    permissions::{Permission, Permissions},
    refusal::{Precondition, Refusal},
};
use flagbase_testkit::{FixedClock, Memory, SeededRandom};

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct House {
    pub(crate) identity: Identity,
    pub(crate) feed: Arc<Feed>,
    pub(crate) memory: Memory,
    pub(crate) clock: FixedClock,
}

pub(crate) fn config() -> IdentityConfig {
    IdentityConfig {
        secret: Secret::new(&b"thirty-two bytes of some secret!"[..]),
        token_ttl: Duration::from_hours(24),
        registration: Registration::Open,
        default_role: "user".to_owned(),
        self_assignable_roles: vec!["developer".to_owned(), "user".to_owned()],
        hash_concurrency: 2,
        hash_queue: 64,
        login_attempts: 5,
        login_window: Duration::from_mins(15),
        setup_token_ttl: Duration::from_mins(30),
    }
}

/// With the environments `default` (development), `staging` (development) and `live` (production).
pub(crate) async fn house() -> House {
    house_with(|_| {}).await
}

pub(crate) async fn house_with(change: impl FnOnce(&mut IdentityConfig)) -> House {
    let memory = Memory::new();
    let accounts = Arc::new(memory.clone());
    house_on(memory, accounts, change).await
}

pub(crate) async fn house_on(
    memory: Memory,
    accounts: Arc<dyn Accounts>,
    change: impl FnOnce(&mut IdentityConfig),
) -> House {
    let clock = FixedClock::default();
    let random = Arc::new(SeededRandom::new(7));
    let feed = Feed::open(Arc::new(memory.clone()), Arc::new(clock.clone()), Arc::clone(&random) as _);
    let feed = Arc::new(feed.await.unwrap());
    let mut config = config();
    change(&mut config);
    let identity =
        Identity::new(config, accounts, Arc::clone(&feed), Arc::new(clock.clone()), random).unwrap();
    let house = House { identity, feed, memory, clock };
    house.build().await;
    house
}

impl House {
    async fn build(&self) {
        let environments = Environments::new(Arc::clone(&self.feed));
        environments.ensure_default(EnvironmentKind::Development).await.unwrap();
        let builder = Caller { role: "admin".into(), ..someone() };
        let asked = Asked { caller: &builder, environment: "", reason: "" };
        for (key, kind) in [("staging", EnvironmentKind::Development), ("live", EnvironmentKind::Production)]
        {
            let environment =
                Environment { key: key.into(), name: String::new(), kind, attributes: Vec::new() };
            environments.put(asked, environment, Precondition::Absent).await.unwrap();
        }
    }

    pub(crate) async fn register(&self, email: &str, role: Option<&str>) -> Result<Profile, Refusal> {
        let ask =
            Register { credentials: credentials(email), role: role.map(str::to_owned), invitation: None };
        self.identity.register(ask, &Origin::default()).await
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Result<Login, Refusal> {
        let credentials = Credentials { email: email.to_owned(), password: password.to_owned() };
        self.identity.login(credentials, &Origin::default()).await
    }

    /// The token and the caller of somebody who has just registered.
    pub(crate) async fn join(&self, email: &str, role: &str) -> (String, Arc<Caller>) {
        self.register(email, Some(role)).await.unwrap();
        self.enter(email).await
    }

    pub(crate) async fn enter(&self, email: &str) -> (String, Arc<Caller>) {
        let login = self.login(email, PASSWORD).await.unwrap();
        let caller = self.identity.authenticate(&login.token).await.unwrap();
        (login.token, caller)
    }

    pub(crate) async fn admin(&self) -> Arc<Caller> {
        self.identity.create_admin(credentials("admin@example.com")).await.unwrap();
        self.enter("admin@example.com").await.1
    }

    /// Changes a user, whatever his version.
    pub(crate) async fn change(
        &self,
        caller: &Caller,
        id: &str,
        patch: UserPatch,
    ) -> Result<Profile, Refusal> {
        let seen = (id, Precondition::None);
        self.identity.update_user(caller, seen, patch, "").await
    }

    /// What the caller may do in an environment, at this moment.
    pub(crate) fn may(&self, caller: &Caller, environment: &str) -> Permissions {
        let snapshot = self.feed.snapshots().get();
        caller.permissions(&snapshot, snapshot.environment(environment).unwrap())
    }

    pub(crate) async fn changes(&self) -> Vec<Change> {
        self.memory.changes(0, 10_000).await.unwrap()
    }

    pub(crate) fn reach(&self) -> u64 {
        self.identity.hashed()
    }
}

pub(crate) fn someone() -> Caller {
    Caller {
        principal: flagbase_core::caller::Principal::User,
        id: "builder".into(),
        email: "builder@example.com".into(),
        session: Some("s".into()),
        ..Caller::clone(&Caller::nobody())
    }
}

pub(crate) fn credentials(email: &str) -> Credentials {
    Credentials { email: email.to_owned(), password: PASSWORD.to_owned() }
}

pub(crate) fn set(permissions: &[Permission]) -> Permissions {
    permissions.iter().copied().collect()
}

/// The refusal of something that must be refused.
#[track_caller]
pub(crate) fn refused<T>(result: Result<T, Refusal>) -> Refusal {
    match result {
        Ok(_) => panic!("it must be refused"),
        Err(refusal) => refusal,
    }
}
