//! Templates.

use devpocket_actors::persistence::templates::Template;
use serde_json::{Value, json};

use super::{both, extend, timestamp};

/// The members that short lists show.
#[must_use]
pub fn template_summary(template: &Template) -> Value {
    both(json!({
        "id": template.id,
        "name": template.name,
        "displayName": template.display_name,
        "description": template.description,
        "category": template.category,
        "tags": template.tags,
        "dockerImage": template.docker_image,
        "defaultPort": template.default_port,
        "iconUrl": template.icon_url,
        "usageCount": template.usage_count,
        "createdAt": timestamp(template.created_at),
    }))
}

/// A whole template.
#[must_use]
pub fn template(template: &Template) -> Value {
    let mut body = template_summary(template);
    extend(
        &mut body,
        both(json!({
            "image": template.docker_image,
            "defaultResourcesCpu": template.default_resources_cpu,
            "defaultResourcesMemory": template.default_resources_memory,
            "defaultResourcesStorage": template.default_resources_storage,
            "default_resources": {
                "cpu": template.default_resources_cpu,
                "memory": template.default_resources_memory,
                "storage": template.default_resources_storage,
            },
            "environmentVariables": template.environment_variables,
            "installCommands": template.install_commands,
            "startupCommands": template.startup_commands,
            "documentationUrl": template.documentation_url,
            "status": template.status,
            "version": template.version,
            "updatedAt": timestamp(template.updated_at),
        })),
    );
    body
}
