//! Sign-in with Google.

use super::reader::Reader;

/// Whose tokens are taken, and for whom they must be.
#[derive(Debug, Clone)]
pub struct Google {
    /// `GOOGLE_CLIENT_ID`: the apps whose tokens are taken. None: sign-in with Google is off.
    pub client_ids: Vec<String>,
    /// `GOOGLE_ISSUERS`.
    pub issuers: Vec<String>,
    /// `GOOGLE_JWKS_URL`: where the keys are that the tokens are signed with.
    pub jwks_url: String,
}

pub(super) fn read(read: &mut Reader<'_>) -> Google {
    Google {
        client_ids: read.words("GOOGLE_CLIENT_ID", ""),
        issuers: read.words("GOOGLE_ISSUERS", "https://accounts.google.com,accounts.google.com"),
        jwks_url: read.secure_url("GOOGLE_JWKS_URL", "https://www.googleapis.com/oauth2/v3/certs"),
    }
}
