//! Recipients of the files that `skep swarm` writes: public keys that can open them.

use crate::cli::selection::ConfigurationError;
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::transport::encrypt_for;

/// Variable of the inventory with the recipients.
const RECIPIENTS: &str = "backup_recipients";

/// Returns the recipients of the command line, or those of the inventory. Each of them is tried, so
/// that a wrong key is found before something is changed.
///
/// # Errors
/// If there is no recipient, or `age` does not encrypt for one.
pub(super) async fn recipients(
    given: &[String],
    inventory: &Inventory,
    hosts: &[HostName],
) -> anyhow::Result<Vec<String>> {
    let mut recipients = given.to_vec();
    if recipients.is_empty() {
        let vars = hosts.first().and_then(|host| inventory.vars(host));
        let listed = vars
            .and_then(|vars| vars.get(RECIPIENTS))
            .map(|value| value.node.to_json());
        let listed = listed.as_ref().and_then(serde_json::Value::as_array);
        let keys = listed
            .into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_str);
        recipients = keys.map(str::to_owned).collect();
    }
    if recipients.is_empty() {
        let why = format!(
            "error: nobody could read the file: no recipient is given\n  try: --recipient age1..., or {RECIPIENTS} = [\"age1...\"] in the \
             inventory's [vars]; `age-keygen -o identity.txt` makes a key\n"
        );
        return Err(ConfigurationError(why).into());
    }
    let tried = encrypt_for(&recipients, b"").await;
    tried.map_err(|why| anyhow::anyhow!("the file cannot be encrypted: {why}"))?;
    Ok(recipients)
}
