/* providers.c - which source of credentials is configured.
 *
 * The order is told in credentials.h. Of one profile (AWS SDKs and Tools Reference Guide, "Assume role credential
 * provider" and its neighbours; where the guide is silent, as the AWS CLI does it):
 *
 *     role_arn, but no web_identity_token_file   a role; source_profile or credential_source says with whose keys.
 *                                                A source_profile that has keys of its own is these keys, even if it
 *                                                names a role, too; so a profile may be its own source
 *     web_identity_token_file                    a role for a token
 *     aws_access_key_id                          keys
 *     credential_process                         a program
 *     none of them                               not configured
 *
 * Roles are found from the last to the first, and assumed from the first to the last. */
#include "aws/providers.h"

#include <string.h>
#include <strings.h>

struct choice {
	const struct gm_aws_config *config;
	struct gm_arena *arena;
	struct gm_sources *out;
	struct gm_error *err;
	const char *described; /* the roles, as far as they have been found; "" at first */
};

static const char *setting(const struct choice *choice, const char *profile, const char *name)
{
	const char *value = gm_aws_config_get(choice->config, profile, name);
	return value != NULL && value[0] != '\0' ? value : NULL;
}

static enum gm_code no_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for the sources of credentials");
}

/* Names the source, and ends the description of all. */
static enum gm_code name_source(struct choice *choice, const char *name, const char *what)
{
	struct gm_sources *out = choice->out;
	const char *colon = what[0] != '\0' ? ": " : "";
	out->first.name = name;
	out->description = gm_arena_printf(choice->arena, "%s%s%s%s", choice->described, name, colon, what);
	return name != NULL && out->description != NULL ? GM_OK : no_memory(choice->err);
}

static const char *profile_name(const struct choice *choice, const char *profile)
{
	return gm_arena_printf(choice->arena, "profile '%s'", profile);
}

/* --- Sources of the environment ----------------------------------------------------------------------------------- */

static enum gm_code use_environment_keys(struct choice *choice, bool *found)
{
	struct gm_source *first = &choice->out->first;
	const char *key = gm_aws_config_env(choice->config, "AWS_ACCESS_KEY_ID");
	*found = key != NULL;
	if (!*found) return GM_OK;
	first->kind = GM_SOURCE_KEYS;
	first->keys = (struct gm_given_keys){.access_key = key,
	                                     .secret_key = gm_aws_config_env(choice->config, "AWS_SECRET_ACCESS_KEY"),
	                                     .session_token = gm_aws_config_env(choice->config, "AWS_SESSION_TOKEN")};
	if (first->keys.secret_key == NULL)
		GM_FAIL(choice->err, GM_USAGE, "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
	return name_source(choice, "the environment", "AWS_ACCESS_KEY_ID");
}

static enum gm_code use_web_identity(struct choice *choice, const struct gm_role *role, const char *file,
                                     const char *name)
{
	struct gm_source *first = &choice->out->first;
	first->kind = GM_SOURCE_WEB_IDENTITY;
	first->web.role = *role;
	first->web.token_file = file;
	const char *what = gm_arena_printf(choice->arena, "role %s for the web identity token in %s", role->arn, file);
	return what != NULL ? name_source(choice, name, what) : no_memory(choice->err);
}

static enum gm_code use_environment_role(struct choice *choice, bool *found)
{
	const char *file = gm_aws_config_env(choice->config, "AWS_WEB_IDENTITY_TOKEN_FILE");
	struct gm_role role = {.arn = gm_aws_config_env(choice->config, "AWS_ROLE_ARN"),
	                       .session_name = gm_aws_config_env(choice->config, "AWS_ROLE_SESSION_NAME")};
	*found = file != NULL;
	if (!*found) return GM_OK;
	if (role.arn == NULL) GM_FAIL(choice->err, GM_USAGE, "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
	return use_web_identity(choice, &role, file, "the environment");
}

static enum gm_code use_container(struct choice *choice, bool *found)
{
	GM_TRY(gm_container_configure(choice->config, choice->arena, &choice->out->first, found, choice->err));
	return *found ? name_source(choice, choice->out->first.name, "") : GM_OK;
}

static bool instance_is_disabled(const struct choice *choice)
{
	const char *disabled = gm_aws_config_env(choice->config, "AWS_EC2_METADATA_DISABLED");
	return disabled != NULL && strcasecmp(disabled, "true") == 0;
}

static enum gm_code use_instance(struct choice *choice)
{
	GM_TRY(gm_instance_configure(choice->config, choice->arena, &choice->out->first, choice->err));
	return name_source(choice, choice->out->first.name, "");
}

/* --- Sources of a profile ----------------------------------------------------------------------------------------- */

static bool has_keys(const struct choice *choice, const char *profile)
{
	return setting(choice, profile, "aws_access_key_id") != NULL ||
	       setting(choice, profile, "aws_secret_access_key") != NULL;
}

static enum gm_code use_profile_keys(struct choice *choice, const char *profile)
{
	struct gm_source *first = &choice->out->first;
	first->kind = GM_SOURCE_KEYS;
	first->keys = (struct gm_given_keys){.access_key = setting(choice, profile, "aws_access_key_id"),
	                                     .secret_key = setting(choice, profile, "aws_secret_access_key"),
	                                     .session_token = setting(choice, profile, "aws_session_token")};
	if (first->keys.access_key == NULL || first->keys.secret_key == NULL)
		GM_FAIL(choice->err, GM_USAGE, "profile '%s' has %s, but not %s", profile,
		        first->keys.access_key != NULL ? "aws_access_key_id" : "aws_secret_access_key",
		        first->keys.access_key != NULL ? "aws_secret_access_key" : "aws_access_key_id");
	return name_source(choice, profile_name(choice, profile), "keys");
}

static enum gm_code use_profile_process(struct choice *choice, const char *profile, const char *command)
{
	const char *name = profile_name(choice, profile);
	if (name == NULL) return no_memory(choice->err);
	GM_TRY(gm_process_check(command, name, choice->err));
	choice->out->first.kind = GM_SOURCE_PROCESS;
	choice->out->first.command = command;
	return name_source(choice, name, "credential_process");
}

static struct gm_role role_of(const struct choice *choice, const char *profile)
{
	return (struct gm_role){.profile = profile,
	                        .arn = setting(choice, profile, "role_arn"),
	                        .external_id = setting(choice, profile, "external_id"),
	                        .session_name = setting(choice, profile, "role_session_name"),
	                        .duration_seconds = setting(choice, profile, "duration_seconds")};
}

static enum gm_code use_profile_token(struct choice *choice, const char *profile, const char *file)
{
	struct gm_role role = role_of(choice, profile);
	if (role.arn == NULL)
		GM_FAIL(choice->err, GM_USAGE, "profile '%s' has web_identity_token_file, but not role_arn", profile);
	return use_web_identity(choice, &role, file, profile_name(choice, profile));
}

/* What a profile has that is none of ours, so that "no credentials" would puzzle its owner. */
static enum gm_code refuse_sign_in(const struct choice *choice, const char *profile)
{
	static const char *const names[] = {"sso_session", "sso_start_url", "login_session"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (setting(choice, profile, names[i]) == NULL) continue;
		(void)gm_error_set(choice->err, GM_USAGE, "profile '%s' has %s, which needs a person who signs in", profile,
		                   names[i]);
		return gm_error_hint(choice->err, GM_USAGE,
		                     "use a profile with 'credential_process = aws configure export-credentials --profile %s'",
		                     profile);
	}
	return GM_OK;
}

/* A profile as a source, roles aside. */
static enum gm_code use_profile(struct choice *choice, const char *profile, bool *found)
{
	const char *file = setting(choice, profile, "web_identity_token_file");
	const char *command = setting(choice, profile, "credential_process");
	*found = true;
	if (file != NULL) return use_profile_token(choice, profile, file);
	if (has_keys(choice, profile)) return use_profile_keys(choice, profile);
	if (command != NULL) return use_profile_process(choice, profile, command);
	*found = false;
	return refuse_sign_in(choice, profile);
}

/* --- Roles -------------------------------------------------------------------------------------------------------- */

static const struct gm_role *role_with_profile(const struct gm_role *roles, const char *profile)
{
	while (roles != NULL && strcmp(roles->profile, profile) != 0) roles = roles->next;
	return roles;
}

static enum gm_code check_role(const struct choice *choice, const struct gm_role *role)
{
	bool has_source = setting(choice, role->profile, "source_profile") != NULL;
	bool has_place = setting(choice, role->profile, "credential_source") != NULL;
	if (setting(choice, role->profile, "mfa_serial") != NULL) {
		(void)gm_error_set(choice->err, GM_USAGE, "profile '%s' has mfa_serial, which needs a person with a code",
		                   role->profile);
		return gm_error_hint(choice->err, GM_USAGE,
		                     "use a role that can be assumed without MFA, or credential_process");
	}
	if (has_source && has_place)
		GM_FAIL(choice->err, GM_USAGE, "profile '%s' has both source_profile and credential_source", role->profile);
	if (!has_source && !has_place)
		GM_FAIL(choice->err, GM_USAGE, "profile '%s' has role_arn, but neither source_profile nor credential_source",
		        role->profile);
	return GM_OK;
}

/* Puts the profile's role before those that are to be assumed after it. */
static enum gm_code add_role(struct choice *choice, const char *profile)
{
	struct gm_role *role = gm_arena_alloc(choice->arena, sizeof *role);
	if (role == NULL) return no_memory(choice->err);
	*role = role_of(choice, profile);
	role->next = choice->out->roles;
	GM_TRY(check_role(choice, role));
	choice->out->roles = role;
	choice->described =
	    gm_arena_printf(choice->arena, "%sprofile '%s': role %s by way of ", choice->described, profile, role->arn);
	return choice->described != NULL ? GM_OK : no_memory(choice->err);
}

static enum gm_code use_place(struct choice *choice, const char *profile, const char *place)
{
	bool found = true;
	if (strcasecmp(place, "Environment") == 0) {
		GM_TRY(use_environment_keys(choice, &found));
	} else if (strcasecmp(place, "EcsContainer") == 0) {
		GM_TRY(use_container(choice, &found));
	} else if (strcasecmp(place, "Ec2InstanceMetadata") == 0) {
		found = !instance_is_disabled(choice);
		if (found) GM_TRY(use_instance(choice));
	} else {
		GM_FAIL(choice->err, GM_USAGE,
		        "profile '%s': credential_source is '%s', and not Environment, EcsContainer or Ec2InstanceMetadata",
		        profile, place);
	}
	if (found) return GM_OK;
	GM_FAIL(choice->err, GM_USAGE, "profile '%s': credential_source is %s, but there are no credentials", profile,
	        place);
}

static bool is_role(const struct choice *choice, const char *profile)
{
	if (setting(choice, profile, "role_arn") == NULL || setting(choice, profile, "web_identity_token_file") != NULL)
		return false;
	return choice->out->roles == NULL || !has_keys(choice, profile);
}

static enum gm_code check_source(const struct choice *choice, const char *profile, const char *source)
{
	if (!gm_aws_config_has_profile(choice->config, source))
		GM_FAIL(choice->err, GM_USAGE, "profile '%s': its source_profile '%s' does not exist", profile, source);
	bool is_itself = strcmp(source, profile) == 0 && has_keys(choice, source);
	if (role_with_profile(choice->out->roles, source) != NULL && !is_itself)
		GM_FAIL(choice->err, GM_USAGE, "profile '%s': its source_profile '%s' leads in a circle", profile, source);
	return GM_OK;
}

/* Each turn adds a role of another profile, so it ends. */
static enum gm_code follow_profile(struct choice *choice, const char *profile, bool *found)
{
	while (is_role(choice, profile)) {
		*found = true;
		GM_TRY(add_role(choice, profile));
		const char *place = setting(choice, profile, "credential_source");
		if (place != NULL) return use_place(choice, profile, place);
		const char *source = setting(choice, profile, "source_profile");
		GM_TRY(check_source(choice, profile, source));
		profile = source;
	}
	GM_TRY(use_profile(choice, profile, found));
	if (*found || choice->out->roles == NULL) return GM_OK;
	GM_FAIL(choice->err, GM_USAGE, "profile '%s' has no credentials, but profile '%s' has it as source_profile",
	        profile, choice->out->roles->profile);
}

/* --- The choice --------------------------------------------------------------------------------------------------- */

/* Nothing is configured. */
static enum gm_code use_last_hope(struct choice *choice, const char *profile, bool explicit)
{
	const char *others = gm_arena_printf(choice->arena, "%sprofile '%s' or from a container",
	                                     explicit ? "none in " : "none in the environment, in ", profile);
	if (others == NULL) return no_memory(choice->err);
	if (instance_is_disabled(choice)) {
		(void)gm_error_set(
		    choice->err, GM_DENIED,
		    "no credentials: %s; and AWS_EC2_METADATA_DISABLED forbids to ask the instance's metadata service", others);
		return gm_error_hint(choice->err, GM_DENIED, GM_CREDENTIALS_HINT);
	}
	GM_TRY(use_instance(choice));
	choice->out->first.instance.others = others;
	return GM_OK;
}

static enum gm_code find_source(struct choice *choice)
{
	bool found = false, explicit = gm_aws_config_profile_is_explicit(choice->config);
	const char *profile = gm_aws_config_profile(choice->config);
	if (!explicit) {
		GM_TRY(use_environment_keys(choice, &found));
		if (!found) GM_TRY(use_environment_role(choice, &found));
	}
	if (!found) GM_TRY(follow_profile(choice, profile, &found));
	if (!found) GM_TRY(use_container(choice, &found));
	return found ? GM_OK : use_last_hope(choice, profile, explicit);
}

static enum gm_code find_sts(struct choice *choice, const char *region)
{
	struct gm_aws_endpoint endpoint;
	struct gm_sources *out = choice->out;
	if (out->roles == NULL && out->first.kind != GM_SOURCE_WEB_IDENTITY) return GM_OK;
	if (region == NULL || region[0] == '\0') region = gm_aws_config_region(choice->config);
	if (region == NULL) region = "us-east-1";
	GM_TRY(gm_aws_endpoint(choice->config, "sts", region, NULL, &endpoint, choice->err));
	out->sts_region = gm_arena_strndup(choice->arena, region, strlen(region));
	out->sts_url = gm_arena_strndup(choice->arena, endpoint.url, strlen(endpoint.url));
	return out->sts_region != NULL && out->sts_url != NULL ? GM_OK : no_memory(choice->err);
}

enum gm_code gm_sources_choose(const struct gm_aws_config *config, const char *region, struct gm_arena *arena,
                               struct gm_sources *out, struct gm_error *err)
{
	struct choice choice = {config, arena, out, err, ""};
	*out = (struct gm_sources){.roles = NULL};
	GM_TRY(find_source(&choice));
	return find_sts(&choice, region);
}

/* --- Asking ------------------------------------------------------------------------------------------------------- */

static enum gm_code ask_first(const struct gm_sources *sources, const struct gm_sts *sts, struct gm_keys **out,
                              struct gm_error *err)
{
	const struct gm_source *first = &sources->first;
	switch (first->kind) {
	case GM_SOURCE_KEYS: return gm_keys_new(&first->keys, first->name, out, err);
	case GM_SOURCE_WEB_IDENTITY: return gm_sts_assume_by_token(sts, first, out, err);
	case GM_SOURCE_PROCESS: return gm_process_ask(first, out, err);
	case GM_SOURCE_CONTAINER: return gm_container_ask(first, sts->asker, out, err);
	case GM_SOURCE_INSTANCE: return gm_instance_ask(first, sts->asker, out, err);
	}
	GM_FAIL(err, GM_BUG, "a source of credentials of no kind");
}

enum gm_code gm_sources_ask(const struct gm_sources *sources, const struct gm_asker *asker, struct gm_keys **out,
                            struct gm_error *err)
{
	const struct gm_sts sts = {asker, sources->sts_url, sources->sts_region};
	struct gm_keys *keys = NULL;
	*out = NULL;
	GM_TRY(ask_first(sources, &sts, &keys, err));
	for (const struct gm_role *role = sources->roles; role != NULL; role = role->next) {
		struct gm_keys *with = keys;
		enum gm_code code = gm_sts_assume(&sts, role, with, &keys, err);
		gm_keys_drop(with);
		GM_TRY(code);
	}
	*out = keys;
	return GM_OK;
}
