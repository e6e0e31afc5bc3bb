//! Who is let in when registration is not open.

use flagbase_core::{
    identity::{InvitationRequest, Origin, Register, Registration},
    refusal::Class,
};

use crate::house::{credentials, house_with, refused};

#[tokio::test]
async fn an_invitation_lets_one_in_once_with_its_role() {
    let house = house_with(|config| config.registration = Registration::Invite).await;
    let admin = house.admin().await;
    assert_eq!(refused(house.register("alice@example.com", None).await).code, "invitation_required");
    let ask = InvitationRequest {
        role: "admin".into(),
        email: Some("Alice@example.com".into()),
        expires_in: Some("2h".into()),
    };
    let invited = house.identity.invite(&admin, ask).await.unwrap();

    let register = |email: &str, role: Option<&str>| {
        let ask = Register {
            credentials: credentials(email),
            role: role.map(str::to_owned),
            invitation: Some(invited.token.clone()),
        };
        let identity = &house.identity;
        async move { identity.register(ask, &Origin::default()).await }
    };
    assert_eq!(refused(register("mallory@example.com", None).await).code, "invalid_invitation");
    assert_eq!(refused(register("alice@example.com", Some("developer")).await).code, "role_not_assignable");
    assert_eq!(&*register("alice@example.com", None).await.unwrap().role, "admin");
    assert_eq!(refused(register("alice@example.com", None).await).code, "invalid_invitation");
}

#[tokio::test]
async fn invitations_expire_and_the_setup_token_is_none() {
    let house = house_with(|config| config.registration = Registration::Invite).await;
    let setup = house.identity.setup_token().await.unwrap();
    let register = |token: &str| Register {
        credentials: credentials("alice@example.com"),
        role: None,
        invitation: Some(token.to_owned()),
    };
    let refusal = refused(house.identity.register(register(&setup.token), &Origin::default()).await);
    assert_eq!(refusal.code, "invalid_invitation");
    let admin = house.admin().await;
    let ask = InvitationRequest { role: "user".into(), email: None, expires_in: Some("1h".into()) };
    let invited = house.identity.invite(&admin, ask).await.unwrap();
    house.clock.advance_seconds(3600);
    let refusal = refused(house.identity.register(register(&invited.token), &Origin::default()).await);
    assert_eq!(refusal.code, "invalid_invitation");
}

#[tokio::test]
async fn an_open_invitation_is_seen_and_taken_back_by_whoever_manages_users() {
    let house = house_with(|config| config.registration = Registration::Invite).await;
    let admin = house.admin().await;
    let ask = |role: &str| InvitationRequest { role: role.into(), email: None, expires_in: None };
    let invited = house.identity.invite(&admin, ask("user")).await.unwrap();
    let kept = house.identity.invite(&admin, ask("developer")).await.unwrap();
    let open = house.identity.open_invitations(&admin).await.unwrap();
    assert_eq!(open.len(), 2, "the setup token is not one of them");
    assert!(open.iter().any(|open| open.id == invited.id && &*open.role == "user"));
    assert!(open.iter().all(|open| !invited.token.contains(&open.id)), "the id does not tell the token");

    house.identity.revoke_invitation(&admin, &invited.id).await.unwrap();
    let again = refused(house.identity.revoke_invitation(&admin, &invited.id).await);
    assert_eq!(again.code, "invitation_not_found");
    let register = |token: String| Register {
        credentials: credentials("alice@example.com"),
        role: None,
        invitation: Some(token),
    };
    let refusal = refused(house.identity.register(register(invited.token), &Origin::default()).await);
    assert_eq!(refusal.code, "invalid_invitation");
    house.identity.register(register(kept.token), &Origin::default()).await.unwrap();
    assert!(house.identity.open_invitations(&admin).await.unwrap().is_empty(), "a used one is not open");

    let (_, developer) = house.enter("alice@example.com").await;
    assert_eq!(refused(house.identity.open_invitations(&developer).await).class, Class::Forbidden);
    assert_eq!(refused(house.identity.revoke_invitation(&developer, "x").await).class, Class::Forbidden);
}

#[tokio::test]
async fn closed_registration_is_closed() {
    let house = house_with(|config| config.registration = Registration::Closed).await;
    assert_eq!(refused(house.register("alice@example.com", None).await).code, "registration_closed");
}
