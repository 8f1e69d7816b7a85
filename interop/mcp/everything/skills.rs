//! A skill: the extension `io.modelcontextprotocol/skills`.

use rmcp::model::{DIRECTORY_MIME_TYPE, Skill, SkillFrontmatter, SkillResource, SkillResources};
use serde_json::{Value, json};

const URI: &str = "skill://report/SKILL.md";
const NAME: &str = "report";
const DESCRIPTION: &str = "Write a report";
const FILES: [(&str, &str); 2] = [
    (URI, "---\nname: report\ndescription: Write a report\n---\n\n# Report\n\nBegin with templates/summary.md.\n"),
    ("skill://report/templates/summary.md", "# Summary\n"),
];

/// The skill with this URI.
pub(crate) fn skill(uri: &str) -> Option<Skill> {
    let files = FILES.iter().map(|(uri, text)| SkillResource::from_bytes(*uri, text.as_bytes())).collect();
    let frontmatter = SkillFrontmatter::new(NAME, DESCRIPTION);
    (uri == URI).then(|| Skill::new(URI, frontmatter, SkillResources::Files(files)))
}

pub(crate) fn skills() -> Vec<Skill> {
    skill(URI).into_iter().collect()
}

/// A file of the skill, as the result of `resources/read`.
pub(crate) fn file(uri: &str) -> Option<Value> {
    let (uri, text) = FILES.iter().find(|(known, _)| *known == uri)?;
    let contents = json!([{ "uri": uri, "mimeType": "text/markdown", "text": text }]);
    Some(json!({ "contents": contents, "ttlMs": 0, "cacheScope": "private" }))
}

/// The files and directories in a directory, as the result of `resources/directory/read`.
pub(crate) fn directory(uri: &str) -> Option<Value> {
    let file = |(uri, _): &(&str, &str)| {
        let name = uri.rsplit('/').next().unwrap_or_default();
        json!({ "uri": uri, "name": name, "mimeType": "text/markdown" })
    };
    let [skill, summary] = &FILES;
    let resources = match uri {
        "skill://report" => {
            let templates = json!({
                "uri": "skill://report/templates", "name": "templates", "mimeType": DIRECTORY_MIME_TYPE,
            });
            json!([file(skill), templates])
        }
        "skill://report/templates" => json!([file(summary)]),
        _ => return None,
    };
    Some(json!({ "resources": resources, "ttlMs": 0, "cacheScope": "private" }))
}
