//! Accounts that the tests make.

use devpocket_actors::persistence::users::CreateUser;
use devpocket_actors::persistence::{Hidden, Plan, Role, new_id};

/// Somebody who has just registered.
pub fn new_user(name: &str) -> CreateUser {
    CreateUser {
        id: new_id(),
        email: format!("{name}@example.org"),
        username: name.to_owned(),
        full_name: name.to_owned(),
        password: Some(Hidden::new("$2b$12$x".to_owned())),
        avatar_url: None,
        is_verified: false,
        subscription_plan: Plan::Free,
        role: Role::User,
        google_id: None,
    }
}
