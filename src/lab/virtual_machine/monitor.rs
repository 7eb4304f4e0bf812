//! Sends commands to a running QEMU by its machine protocol (QMP, JSON lines over a Unix socket),
//! one at a time.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::error::LabError;

/// Time limit for an answer of QEMU.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Executes one command.
pub(super) fn execute(socket: &Path, command: &str, arguments: &Value) -> Result<(), LabError> {
    let failed = |reason: String| LabError::Monitor {
        command: command.to_owned(),
        socket: socket.into(),
        reason,
    };
    let stream = UnixStream::connect(socket).map_err(|error| failed(error.to_string()))?;
    for set in [
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)),
        stream.set_write_timeout(Some(ANSWER_TIMEOUT)),
    ] {
        set.map_err(|error| failed(error.to_string()))?;
    }
    exchange(&stream, BufReader::new(&stream), command, arguments).map_err(failed)
}

fn exchange(
    mut to: impl std::io::Write,
    mut from: impl std::io::BufRead,
    command: &str,
    arguments: &Value,
) -> Result<(), String> {
    let greeting = line(&mut from)?;
    if greeting.get("QMP").is_none() {
        return Err(format!("not a QEMU monitor: {greeting}"));
    }
    for request in [
        json!({ "execute": "qmp_capabilities" }),
        json!({ "execute": command, "arguments": arguments }),
    ] {
        writeln!(to, "{request}").map_err(|error| error.to_string())?;
        // Events may arrive before the answer.
        loop {
            let said = line(&mut from)?;
            if let Some(error) = said.get("error") {
                return Err(error["desc"]
                    .as_str()
                    .unwrap_or("no reason given")
                    .to_owned());
            }
            if said.get("return").is_some() {
                break;
            }
        }
    }
    Ok(())
}

fn line(from: &mut impl std::io::BufRead) -> Result<Value, String> {
    let mut text = String::new();
    match from.read_line(&mut text) {
        Ok(0) => Err("QEMU closed the connection".to_owned()),
        Ok(_) => serde_json::from_str(&text).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GREETING: &str = "{\"QMP\": {\"version\": {}}}\n{\"return\": {}}\n";

    #[test]
    fn events_are_passed_over() {
        let said = format!("{GREETING}{{\"event\": \"POWERDOWN\"}}\n{{\"return\": {{}}}}\n");
        let mut sent = Vec::new();
        exchange(
            &mut sent,
            said.as_bytes(),
            "set_link",
            &json!({ "name": "private", "up": false }),
        )
        .unwrap();
        let sent = String::from_utf8(sent).unwrap();
        let lines: Vec<&str> = sent.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[1].contains("\"set_link\"") && lines[1].contains("\"private\""),
            "{sent}"
        );
    }

    #[test]
    fn errors_are_told() {
        let said = format!(
            "{GREETING}{{\"error\": {{\"class\": \"GenericError\", \"desc\": \"no such device\"}}}}\n"
        );
        assert_eq!(
            exchange(Vec::new(), said.as_bytes(), "set_link", &json!({})).unwrap_err(),
            "no such device"
        );
        assert!(
            exchange(Vec::new(), &b"{}\n"[..], "set_link", &json!({}))
                .unwrap_err()
                .contains("not a QEMU")
        );
        assert!(
            exchange(Vec::new(), GREETING.as_bytes(), "set_link", &json!({}))
                .unwrap_err()
                .contains("closed")
        );
    }
}
