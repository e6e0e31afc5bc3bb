//! Who is let in when registration is not open.

use flagbase_core::identity::{InvitationRequest, Origin, Register, Registration};

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
async fn closed_registration_is_closed() {
    let house = house_with(|config| config.registration = Registration::Closed).await;
    assert_eq!(refused(house.register("alice@example.com", None).await).code, "registration_closed");
}
