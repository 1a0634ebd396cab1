//! Roles of messages: which are usual, which a template knows by name, and what is probably meant by another. Templates that
//! do not know a role leave its messages out in silence, or print whatever name they get.

use crate::error::similar;

/// Roles that templates of published models know, or that their makers document.
const USUAL: [&str; 16] = [
    "system",
    "user",
    "assistant",
    "tool",
    "developer",
    "function",
    "ipython",
    "model",
    "environment",
    "observation",
    "tool_call",
    "tool_response",
    "tool_result",
    "document",
    "context",
    "thinking",
];

/// Roles of other formats (ShareGPT and its like), and what they are called here.
const ELSEWHERE: [(&str, &str); 9] = [
    ("human", "user"),
    ("customer", "user"),
    ("person", "user"),
    ("gpt", "assistant"),
    ("chatgpt", "assistant"),
    ("bot", "assistant"),
    ("ai", "assistant"),
    ("agent", "assistant"),
    ("instruction", "system"),
];

/// A role that neither is usual nor stands in the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddRole {
    /// What is wrong with it, to stand behind the role.
    pub what: &'static str,
    /// What to do.
    pub hint: String,
}

/// What is odd about a role; `named` is whether the template has a name in quotes, where there is a template.
pub fn odd_role(role: &str, named: Option<&dyn Fn(&str) -> bool>) -> Option<OddRole> {
    if USUAL.contains(&role) || named.is_some_and(|named| named(role)) {
        return None;
    }
    let lower = role.to_lowercase();
    let other = ELSEWHERE.iter().find(|(name, _)| *name == lower).map(|(_, here)| *here);
    let hint = match other.or_else(|| similar(role, &USUAL)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "chat templates know `system`, `user`, `assistant` and `tool`, and some a few more".to_owned(),
    };
    let what = match named {
        Some(_) => "is none that the chat template knows",
        None => "is none that chat templates know",
    };
    Some(OddRole { what, hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_that_nobody_knows_name_the_nearest() {
        let none = |_: &str| false;
        let hint = |role: &str| odd_role(role, Some(&none)).map(|odd| odd.hint);
        for role in USUAL {
            assert_eq!(hint(role), None, "{role}");
        }
        for (role, meant) in [
            ("assisstant", "assistant"),
            ("Assistant", "assistant"),
            ("usr", "user"),
            ("sytem", "system"),
            ("human", "user"),
            ("GPT", "assistant"),
        ] {
            assert_eq!(hint(role), Some(format!("did you mean `{meant}`?")), "{role}");
        }
        assert!(hint("narrator of tales").is_some_and(|hint| hint.contains("`assistant`")));
        assert_eq!(odd_role("latest_reminder", Some(&|role: &str| role == "latest_reminder")), None);
        assert!(odd_role("assisstant", None).is_some_and(|odd| odd.what.contains("chat templates")));
    }
}
