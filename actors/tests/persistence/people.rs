use std::time::Duration;

use chrono::{TimeDelta, Utc};
use devpocket_actors::persistence::lockout::{
    ADDRESSES, LockoutRules, MissSignIn, PassSignIn, Place, is_locked,
};
use devpocket_actors::persistence::tokens::{
    RevokeAllRefresh, RevokeUserSession, RotateRefresh, Rotation, StartUserSession, SweepTokens,
    is_session_revoked, live_sessions,
};
use devpocket_actors::persistence::users::{ChangePassword, DeleteUser, by_id, by_username_or_email};
use devpocket_actors::persistence::verification::{
    CreateVerification, MAX_CODE_ATTEMPTS, Proof, UseVerification, Verification,
};
use devpocket_actors::persistence::*;
use tokio::task::JoinSet;

use crate::support::vault;
use crate::support::{World, new_user};

impl World {
    async fn sign_in(&self, token: &str) -> String {
        let session_id = new_id();
        let start = StartUserSession {
            session_id: session_id.clone(),
            user_id: self.user.id.clone(),
            device: Some("phone".into()),
            user_agent: None,
            ip: None,
            refresh: TokenHash::of(token),
            expires_at: Utc::now() + TimeDelta::days(7),
        };
        self.persistence.write(start).await.unwrap();
        session_id
    }

    async fn rotate(&self, presented: &str, next: &str, grace: Duration) -> Rotation {
        self.persistence.write(rotation(presented, next, grace)).await.unwrap()
    }
}

fn rotation(presented: &str, next: &str, grace: Duration) -> RotateRefresh {
    RotateRefresh {
        presented: TokenHash::of(presented),
        next: TokenHash::of(next),
        expires_at: Utc::now() + TimeDelta::days(7),
        grace,
    }
}

const STRICT: Duration = Duration::ZERO;
const GRACE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn names_and_addresses_are_unique_whatever_their_case() {
    let world = World::new().await;
    let pool = world.persistence.pool();
    assert_eq!(by_username_or_email(pool, "ADA").await.unwrap().unwrap().id, world.user.id);
    assert_eq!(by_username_or_email(pool, "Ada@Example.org").await.unwrap().unwrap().id, world.user.id);
    let conflict = |constraint: &str| WriteError::Conflict { constraint: constraint.to_owned() };
    let mut other = new_user("eve");
    other.email = "ADA@example.org".into();
    assert_eq!(world.persistence.write(other).await.unwrap_err(), conflict("users_email_key"));
    let mut other = new_user("Ada");
    other.email = "other@example.org".into();
    assert_eq!(world.persistence.write(other).await.unwrap_err(), conflict("users_username_key"));
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_family() {
    let world = World::new().await;
    let session = world.sign_in("one").await;
    let other = world.sign_in("other").await;
    assert!(matches!(world.rotate("one", "two", STRICT).await, Rotation::Rotated(_)));
    assert!(matches!(world.rotate("two", "three", STRICT).await, Rotation::Rotated(_)));
    let Rotation::Reused(owner) = world.rotate("one", "four", STRICT).await else {
        panic!("reuse was not noticed")
    };
    assert_eq!(owner.session_id, session);
    // The thief's and the owner's are both gone, and stay gone; other sign-ins are not touched.
    for token in ["one", "two", "three", "four"] {
        assert_eq!(world.rotate(token, "five", STRICT).await, Rotation::Invalid, "{token}");
    }
    let pool = world.persistence.pool();
    assert!(is_session_revoked(pool, &session).await.unwrap());
    assert!(!is_session_revoked(pool, &other).await.unwrap());
    assert_eq!(live_sessions(pool, &world.user.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_forgiven_once_its_successor_was_never_used() {
    let world = World::new().await;
    world.sign_in("one").await;
    assert!(matches!(world.rotate("one", "lost", GRACE).await, Rotation::Rotated(_)));
    assert!(matches!(world.rotate("one", "two", GRACE).await, Rotation::Rotated(_)));
    // The lost one must not come back from wherever it went.
    assert_eq!(world.rotate("lost", "x", GRACE).await, Rotation::Invalid);
    assert!(matches!(world.rotate("two", "three", GRACE).await, Rotation::Rotated(_)));
    assert!(matches!(world.rotate("one", "y", GRACE).await, Rotation::Reused(_)));
    assert_eq!(world.rotate("three", "z", GRACE).await, Rotation::Invalid);
}

#[tokio::test]
async fn of_parallel_uses_exactly_one_wins() {
    let world = World::new().await;
    world.sign_in("one").await;
    let mut uses = JoinSet::new();
    for n in 0..8 {
        let (write, persistence) = (rotation("one", &format!("n{n}"), STRICT), world.persistence.clone());
        uses.spawn(async move { persistence.write(write).await });
    }
    let answers = uses.join_all().await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|a| matches!(a, Rotation::Rotated(_))).count(), 1);
    assert_eq!(answers.iter().filter(|a| matches!(a, Rotation::Reused(_))).count(), 1);
}

#[tokio::test]
async fn a_new_password_ends_all_sign_ins_but_the_one_that_set_it() {
    let world = World::new().await;
    let (here, there) = (world.sign_in("here").await, world.sign_in("there").await);
    let change = ChangePassword {
        user_id: world.user.id.clone(),
        password: Hidden::new("new".into()),
        keep_session: Some(here.clone()),
    };
    world.persistence.write(change).await.unwrap();
    assert_eq!(world.rotate("there", "x", STRICT).await, Rotation::Invalid);
    assert!(matches!(world.rotate("here", "y", STRICT).await, Rotation::Rotated(_)));
    assert!(is_session_revoked(world.persistence.pool(), &there).await.unwrap());
    // Nobody ends somebody else's.
    let foreign = RevokeUserSession { user_id: "other".into(), session_id: here.clone() };
    assert!(!world.persistence.write(foreign).await.unwrap());
    let all = RevokeAllRefresh { user_id: world.user.id.clone(), keep_session: None };
    assert_eq!(world.persistence.write(all).await.unwrap(), [here]);
    assert_eq!(world.rotate("y", "z", STRICT).await, Rotation::Invalid);
}

fn place(world: &World, address: &str) -> Place {
    Place { account: world.user.id.clone(), address: address.to_owned() }
}

fn miss(place: Place, attempts: i32) -> MissSignIn {
    MissSignIn { place, rules: LockoutRules { attempts, lock_for: GRACE } }
}

#[tokio::test]
async fn parallel_wrong_passwords_are_all_counted_where_they_come_from() {
    let world = World::new().await;
    let pool = world.persistence.pool();
    let (here, there) = (place(&world, "192.0.2.1"), place(&world, "192.0.2.2"));
    let mut misses = JoinSet::new();
    for _ in 0..5 {
        let (write, persistence) = (miss(here.clone(), 5), world.persistence.clone());
        misses.spawn(async move { persistence.write(write).await.unwrap() });
    }
    let locked = misses.join_all().await.into_iter().filter(|locked| *locked).count();
    assert_eq!(locked, 1);
    assert!(is_locked(pool, &here).await.unwrap() && !is_locked(pool, &there).await.unwrap());
    // A right one elsewhere changes nothing here; a new password does.
    world.persistence.write(PassSignIn { place: there.clone() }).await.unwrap();
    assert!(is_locked(pool, &here).await.unwrap());
    let password = Hidden::new("new".into());
    let change = ChangePassword { user_id: world.user.id.clone(), password, keep_session: None };
    world.persistence.write(change).await.unwrap();
    assert!(!is_locked(pool, &here).await.unwrap());
}

#[tokio::test]
async fn wrong_passwords_from_everywhere_leave_few_rows_and_the_known_address() {
    let world = World::new().await;
    let pool = world.persistence.pool();
    let known = place(&world, "192.0.2.1");
    world.persistence.write(PassSignIn { place: known.clone() }).await.unwrap();
    for n in 0..100 {
        world.persistence.write(miss(place(&world, &format!("198.51.100.{n}")), 5)).await.unwrap();
    }
    assert!(is_locked(pool, &place(&world, "203.0.113.1")).await.unwrap());
    assert!(!is_locked(pool, &known).await.unwrap());
    let count = "SELECT count(*) FROM sign_in_addresses";
    let rows: i64 = sqlx::query_scalar(count).fetch_one(pool).await.unwrap();
    // The row of all, the known one, and the newest of the others.
    assert_eq!(rows, 2 + ADDRESSES);
    // What is old goes, and what is not stays.
    let sweep = SweepTokens { keep: GRACE };
    assert_eq!(world.persistence.write(sweep.clone()).await.unwrap(), 0);
    sqlx::query("UPDATE sign_in_addresses SET tried_at = now() - interval '2 days'")
        .execute(pool)
        .await
        .unwrap();
    // The row of all is locked for an hour yet, which began now.
    assert_eq!(world.persistence.write(sweep).await.unwrap(), ADDRESSES.unsigned_abs());
    assert!(!is_locked(pool, &known).await.unwrap());
}

#[tokio::test]
async fn a_proof_is_good_once_by_link_or_by_code() {
    let world = World::new().await;
    let id = world.user.id.clone();
    let create = |link: &str, code: &str| CreateVerification {
        user_id: id.clone(),
        purpose: VerificationPurpose::VerifyEmail,
        link: TokenHash::of(link),
        code: Some(vault().code_hash(&id, code)),
        expires_at: Utc::now() + TimeDelta::hours(24),
    };
    let by_link = |link: &str| UseVerification {
        purpose: VerificationPurpose::VerifyEmail,
        proof: Proof::Link(TokenHash::of(link)),
    };
    let by_code = |code: &str| UseVerification {
        purpose: VerificationPurpose::VerifyEmail,
        proof: Proof::Code { user_id: id.clone(), code: vault().code_hash(&id, code) },
    };
    let accepted = Verification::Accepted { user_id: id.clone() };
    world.persistence.write(create("old", "000000")).await.unwrap();
    world.persistence.write(create("new", "111111")).await.unwrap();
    assert_eq!(world.persistence.write(by_link("old")).await.unwrap(), Verification::Rejected);
    assert_eq!(world.persistence.write(by_code("000000")).await.unwrap(), Verification::Rejected);
    assert_eq!(world.persistence.write(by_code("111111")).await.unwrap(), accepted);
    assert_eq!(world.persistence.write(by_code("111111")).await.unwrap(), Verification::Rejected);
    assert!(by_id(world.persistence.pool(), &id).await.unwrap().unwrap().is_verified);

    // Guessing ends; the link in the mail is still good.
    world.persistence.write(create("third", "222222")).await.unwrap();
    for _ in 0..MAX_CODE_ATTEMPTS {
        assert_eq!(world.persistence.write(by_code("999999")).await.unwrap(), Verification::Rejected);
    }
    assert_eq!(world.persistence.write(by_code("222222")).await.unwrap(), Verification::Exhausted);
    assert_eq!(world.persistence.write(by_link("third")).await.unwrap(), accepted);
}

#[tokio::test]
async fn a_deleted_account_leaves_no_name_and_wants_its_environments_gone() {
    let world = World::new().await;
    world.sign_in("one").await;
    let environment = world.environment("one").await;
    let gone = world.persistence.write(DeleteUser { user_id: world.user.id.clone() }).await.unwrap();
    assert_eq!(gone, std::slice::from_ref(&environment.id));
    let left = world.read(&environment.id).await;
    assert_eq!((left.desired_state, left.status), (DesiredState::Terminated, EnvironmentStatus::Stopping));
    let row = by_id(world.persistence.pool(), &world.user.id).await.unwrap().unwrap();
    assert!(!row.is_active && row.password.is_none() && row.full_name == "Deleted User");
    assert_eq!(world.rotate("one", "two", STRICT).await, Rotation::Invalid);
    world.persistence.write(new_user("ada")).await.unwrap();
}
