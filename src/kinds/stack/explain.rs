//! Error messages of the `docker` command for a refused compose file, with the place added: the
//! command names no file, and a line only sometimes.

use crate::model::{Refusal, StackDeployment};

/// Returns the refusal with the reason why the stack cannot be deployed.
pub(super) fn refusal(deployment: &StackDeployment, said: &str) -> Refusal {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    // The last line is the error; warnings come before it.
    let error = lines
        .last()
        .copied()
        .unwrap_or("the docker command failed without a message");
    let place = place(deployment, error);
    let error = error.strip_prefix("yaml: ").unwrap_or(error);
    let why = if place.is_empty() {
        format!("`docker stack deploy` refuses: {error}")
    } else {
        format!("{place}: {error}")
    };
    Refusal {
        why,
        hint: hint(error).into(),
    }
}

fn hint(error: &str) -> &'static str {
    if error.contains("no such file or directory") {
        "list every file that the compose files use in `files` or `file_templates`, with the same path"
    } else if error.contains("variable is not set") || error.contains("required variable") {
        "set the variable in `variables`: compose files do not see this machine's environment"
    } else if error.contains("swarm manager") {
        "run `skep status`"
    } else if error.contains("Unsupported Compose file version")
        || error.contains("Additional property name")
    {
        "use a newer `docker` command on this machine, or write `version: \"3.8\"` as the compose file's first line"
    } else {
        "correct the compose file; nothing was deployed"
    }
}

/// Returns the file and the line, as far as they are known.
fn place(deployment: &StackDeployment, error: &str) -> String {
    let names = || match deployment.compose.as_slice() {
        [one] => one.clone(),
        all => format!("one of {}", all.join(", ")),
    };
    if let Some(line) = error
        .strip_prefix("yaml: line ")
        .and_then(|rest| rest.split(':').next())
    {
        return match line.parse::<u32>() {
            Ok(_) => names(),
            Err(_) => String::new(),
        };
    }
    if error.starts_with("yaml: ") {
        return names();
    }
    // Examples: `services.web.ports.0 Does not match format 'ports'`, `services.web Additional
    // property foo is not allowed`
    let Some(path) = error
        .split_whitespace()
        .next()
        .filter(|path| path.contains('.'))
    else {
        return String::new();
    };
    let mut keys: Vec<&str> = path
        .split('.')
        .filter(|key| key.parse::<u32>().is_err())
        .collect();
    if !matches!(
        keys.first(),
        Some(&("services" | "networks" | "volumes" | "secrets" | "configs"))
    ) {
        return String::new();
    }
    let extra = error
        .split("Additional property ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    keys.extend(extra);
    let found = deployment.compose.iter().rev().find_map(|name| {
        let text = String::from_utf8_lossy(deployment.files.get(name)?).into_owned();
        Some((name, line_of(&text, &keys)?))
    });
    match found {
        Some((name, line)) => format!("{name}, line {line}"),
        None => names(),
    }
}

/// Returns the line of the last of these keys. Each key is searched after the preceding key, with
/// deeper indentation.
fn line_of(text: &str, keys: &[&str]) -> Option<usize> {
    let mut lines = text.lines().enumerate();
    let (mut found, mut depth) = (None, None);
    for key in keys {
        let (number, indent) = lines.by_ref().find_map(|(number, line)| {
            let indent = line.len() - line.trim_start().len();
            let rest = line
                .trim_start()
                .trim_start_matches(['"', '\''])
                .strip_prefix(key)?;
            let is_key = rest
                .trim_start_matches(['"', '\''])
                .trim_start()
                .starts_with(':');
            (is_key && depth.is_none_or(|depth| indent > depth)).then_some((number, indent))
        })?;
        (found, depth) = (Some(number + 1), Some(indent));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPOSE: &str = "version: \"3.8\"\nservices:\n  db:\n    image: x\n  web:\n    image: x\n    \"foo\": y\n    ports: [\"a:b\"]\n";

    fn why(compose: &[&str], said: &str) -> String {
        let files = compose
            .iter()
            .map(|name| ((*name).to_owned(), COMPOSE.as_bytes().to_vec()))
            .collect();
        let compose = compose.iter().map(|name| (*name).to_owned()).collect();
        refusal(
            &StackDeployment {
                compose,
                files,
                ..StackDeployment::default()
            },
            said,
        )
        .why
    }

    #[test]
    fn error_place_is_named_as_far_as_it_is_known() {
        for (said, expected) in [
            (
                "yaml: line 4: mapping values are not allowed in this context",
                "web.yml: line 4: mapping values",
            ),
            (
                "services.web Additional property foo is not allowed",
                "web.yml, line 7: services.web",
            ),
            (
                "services.web.ports.0 Does not match format 'ports'",
                "web.yml, line 8: services.web.ports.0",
            ),
            (
                "services.gone.ports.0 Does not match",
                "web.yml: services.gone",
            ),
            (
                "open web.env: no such file or directory",
                "`docker stack deploy` refuses: open web.env",
            ),
            ("", "failed without a message"),
        ] {
            let why = why(&["web.yml"], said);
            assert!(why.contains(expected), "{said}: {why}");
        }
        assert!(
            why(&["a.yml", "b.yml"], "yaml: line 4: x").starts_with("one of a.yml, b.yml: line 4")
        );
    }
}
