//! What a development server says when it is ready.

use super::accounts::{ADMIN, Credentials, DEMO};
use super::files::DataDir;

pub(super) fn print(url: &str, data: &DataDir, demo: &Credentials) {
    let Credentials { username, password, .. } = demo;
    let default = std::path::absolute(".devpocket").is_ok_and(|path| path == data.path(""));
    let connect = if default { String::new() } else { format!(" --data-dir {}", data.path("").display()) };
    println!(
        "\nDevPocket is ready at {url}\n\n  \
         demo account   {username} / {password}\n                 \
         (kept in {})\n  \
         admin account  in {}\n  \
         mails          in {}\n\n\
         Try:\n  \
         curl -s {url}/api/v1/auth/login -H 'Content-Type: application/json' -d '{{\"usernameOrEmail\":\"{username}\",\"password\":\"{password}\"}}'\n  \
         curl -s {url}/api/v1/templates\n  \
         devpocket connect --account {} --create ubuntu{connect}\n",
        data.path(DEMO.file).display(),
        data.path(ADMIN.file).display(),
        data.path("outbox").display(),
        data.path(DEMO.file).display(),
    );
}
