//! Accounts and their tokens.

use devpocket_actors::persistence::users::User;
use serde_json::{Value, json};

use super::{both, extend, optional_timestamp, timestamp};
use crate::auth::tokens::Pair;

/// An account, as its owner sees it.
#[must_use]
pub fn user(user: &User) -> Value {
    both(json!({
        "id": user.id,
        "email": user.email,
        "username": user.username,
        "fullName": user.full_name,
        "isActive": user.is_active,
        "isVerified": user.is_verified,
        "avatarUrl": user.avatar_url,
        "subscriptionPlan": user.subscription_plan,
        "subscription_plan": user.subscription_plan.as_str().to_lowercase(),
        "role": user.role.as_str().to_lowercase(),
        "createdAt": timestamp(user.created_at),
        "lastLoginAt": optional_timestamp(user.last_login_at),
        "last_login": optional_timestamp(user.last_login_at),
    }))
}

/// New tokens.
#[must_use]
pub fn tokens(pair: &Pair) -> Value {
    both(json!({
        "accessToken": pair.access,
        "refreshToken": pair.refresh,
        "tokenType": "bearer",
        "expiresIn": pair.access_life.as_secs(),
    }))
}

/// New tokens and whose they are.
#[must_use]
pub fn sign_in(pair: &Pair, account: &User) -> Value {
    let mut body = tokens(pair);
    extend(&mut body, json!({ "user": user(account) }));
    body
}
