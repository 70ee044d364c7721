//! Reads operating-system accounts from `/etc/passwd`.

use std::fs;

/// One line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The number of the user's own group.
    pub gid: u32,
}

/// The account with that name.
pub fn named(name: &str) -> Option<Account> {
    accounts().into_iter().find(|account| account.name == name)
}

/// The name of the user who runs this process; from the environment where the system has no `/proc`.
pub fn current_name() -> Option<String> {
    current_uid()
        .and_then(|uid| accounts().into_iter().find(|account| account.uid == uid))
        .map(|account| account.name)
        .or_else(|| std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok())
        .filter(|name| !name.is_empty())
}

/// The name of the account with that number.
pub fn name_of(uid: u32) -> Option<String> {
    accounts().into_iter().find(|account| account.uid == uid).map(|account| account.name)
}

/// The number of the user whose privileges this process has.
pub fn current_uid() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

fn accounts() -> Vec<Account> {
    fs::read_to_string("/etc/passwd").unwrap_or_default().lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { name, uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_a_broken_one_is_not() {
        let account = parse("postgres:x:105:112:PostgreSQL,,,:/var/lib/postgresql:/bin/bash");
        assert_eq!(account, Some(Account { name: "postgres".to_owned(), uid: 105, gid: 112 }));
        assert_eq!(parse("+::::::"), None);
    }
}
