//! The usual secrets.

/// Names of members and attributes that hold secrets, in lower case: what HTTP, OAuth 2 and cloud SDKs call them.
pub(super) const KEYS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "proxy_authorization",
    "cookie",
    "cookies",
    "set-cookie",
    "set_cookie",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "client_secret",
    "client-secret",
    "clientsecret",
    "secret_key",
    "secretkey",
    "secret_access_key",
    "secretaccesskey",
    "private_key",
    "privatekey",
    "api_key",
    "api-key",
    "apikey",
    "x-api-key",
    "x_api_key",
    "access_token",
    "access-token",
    "accesstoken",
    "x-access-token",
    "refresh_token",
    "refresh-token",
    "refreshtoken",
    "id_token",
    "idtoken",
    "auth_token",
    "authtoken",
    "x-auth-token",
    "x_auth_token",
    "credit_card",
    "creditcard",
    "card_number",
    "cardnumber",
];

/// Tokens of RFC 6750 in texts: `Authorization: Bearer …` in a log line.
pub(super) const BEARER: &str = r"(?i-u)\b(bearer)\s+[a-z0-9._~+/-]{16,}=*";
/// In every match.
pub(super) const BEARER_WORD: &str = "bearer";
pub(super) const BEARER_REPLACEMENT: &str = "$1 [redacted]";
