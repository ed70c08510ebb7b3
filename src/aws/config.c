/* config.c - profiles: of which sections of which file they are made, and what the environment says before them.
 *
 * In the config file a profile NAME is the section [profile NAME], or [default]; NAME may be quoted as in a shell. Of
 * several such sections ([default] and [profile default], or the same name with and without quotation marks) the last
 * is the profile. In the credentials file it is the section [NAME]. A section [DEFAULT], in capitals, holds what is not
 * set in any other of its file. [services NAME] is for endpoints; [sso-session NAME] and all others mean nothing. */
#include "aws/config.h"

#include "aws/command_line.h"
#include "aws/config_file.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum label_kind { LABEL_OTHER, LABEL_PROFILE, LABEL_SERVICES };
/* What a section of the config file is. */
struct label {
	enum label_kind kind;
	const char *name;
};

struct gm_aws_config {
	gm_env_fn *env;
	void *env_context;
	const char *profile;
	bool explicit;
	struct gm_arena arena;         /* names, paths */
	struct gm_secret_memory words; /* of the labels; secret only because command_line.h wants it so */
	struct gm_aws_file files[2];   /* by precedence */
	struct label *labels;          /* one for each section of the config file */
};
enum { CREDENTIALS, CONFIG, FILES };
enum { WORDS_MAX = 16 << 20 /* bytes: a file of nothing but sections needs half of it */ };

/* --- The environment ---------------------------------------------------------------------------------------------- */

static const char *environment(void *context, const char *name)
{
	(void)context;
	return getenv(name);
}

const char *gm_aws_config_env(const struct gm_aws_config *config, const char *name)
{
	const char *value = config->env(config->env_context, name);
	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* The home folder in the arena; "" if there is none. NULL: no memory. */
static const char *find_home(struct gm_aws_config *config)
{
	struct passwd entry, *found = NULL;
	char text[4096];
	const char *home = gm_aws_config_env(config, "HOME");
	if (home == NULL && getpwuid_r(getuid(), &entry, text, sizeof text, &found) == 0 && found != NULL)
		home = found->pw_dir;
	if (home == NULL) home = "";
	return gm_arena_strndup(&config->arena, home, strlen(home));
}

/* Where one of the files is, in the arena. */
static const char *find_path(struct gm_aws_config *config, const char *variable, const char *usual)
{
	const char *path = gm_aws_config_env(config, variable);
	if (path == NULL) path = usual;
	if (path[0] != '~' || (path[1] != '/' && path[1] != '\0'))
		return gm_arena_strndup(&config->arena, path, strlen(path));
	const char *home = find_home(config);
	return home != NULL ? gm_arena_printf(&config->arena, "%s%s", home, path + 1) : NULL;
}

static bool choose_profile(struct gm_aws_config *config, const char *given, bool *named)
{
	const char *name = given != NULL && given[0] != '\0' ? given : NULL;
	config->explicit = name != NULL;
	if (name == NULL) name = gm_aws_config_env(config, "AWS_PROFILE");
	if (name == NULL) name = gm_aws_config_env(config, "AWS_DEFAULT_PROFILE");
	*named = name != NULL;
	if (name == NULL) name = "default";
	config->profile = gm_arena_strndup(&config->arena, name, strlen(name));
	return config->profile != NULL;
}

/* --- Loading ------------------------------------------------------------------------------------------------------ */

/* "profile NAME" and "services NAME". As in botocore the first word need only begin so. */
static enum gm_code read_label(struct gm_aws_config *config, const char *text, struct label *label,
                               struct gm_error *err)
{
	char **words;
	*label = (struct label){.kind = LABEL_OTHER};
	if (strcmp(text, "default") == 0) {
		*label = (struct label){.kind = LABEL_PROFILE, .name = text};
		return GM_OK;
	}
	enum label_kind kind = LABEL_OTHER;
	if (strncmp(text, "profile", 7) == 0) kind = LABEL_PROFILE;
	if (strncmp(text, "services", 8) == 0) kind = LABEL_SERVICES;
	if (kind == LABEL_OTHER) return GM_OK;
	enum gm_code rc = gm_command_line_split(text, &config->words, &words, err);
	if (rc == GM_USAGE) return GM_OK; /* a quotation mark without its match: no tool reads such a section */
	if (rc != GM_OK) return rc;
	bool two = words[1] != NULL && words[2] == NULL;
	if (two) *label = (struct label){.kind = kind, .name = words[1]};
	return GM_OK;
}

static enum gm_code read_labels(struct gm_aws_config *config, struct gm_error *err)
{
	const struct gm_aws_file *file = &config->files[CONFIG];
	config->labels = calloc(file->section_count + 1, sizeof *config->labels);
	if (config->labels == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for profiles");
	for (size_t i = 0; i < file->section_count; i++)
		GM_TRY(read_label(config, file->sections[i].name, &config->labels[i], err));
	return GM_OK;
}

/* The profiles that there are, as many as a hint holds. */
static enum gm_code list_profiles(const struct gm_aws_config *config, struct gm_error *err)
{
	struct gm_buf names;
	enum gm_code rc = GM_OK;
	gm_buf_init(&names, sizeof err->hint - 40);
	for (size_t i = 0; rc == GM_OK && i < config->files[CONFIG].section_count; i++) {
		if (config->labels[i].kind == LABEL_PROFILE) rc = gm_buf_printf(&names, NULL, " '%s'", config->labels[i].name);
	}
	for (size_t i = 0; rc == GM_OK && i < config->files[CREDENTIALS].section_count; i++)
		rc = gm_buf_printf(&names, NULL, " '%s'", config->files[CREDENTIALS].sections[i].name);
	if (names.len > 0)
		(void)gm_error_hint(err, GM_USAGE, "the profiles there are:%.*s%s", (int)names.len, (const char *)names.data,
		                    rc == GM_OK ? "" : " ...");
	else
		(void)gm_error_hint(err, GM_USAGE, "'aws configure --profile NAME' makes one");
	gm_buf_release(&names);
	return GM_USAGE;
}

static enum gm_code fail_profile(const struct gm_aws_config *config, struct gm_error *err)
{
	const char *path = config->files[CONFIG].path;
	(void)gm_error_set(err, GM_USAGE, "there is no profile '%.100s' in this file or in %.300s", config->profile,
	                   config->files[CREDENTIALS].path);
	(void)gm_error_object(err, GM_USAGE, path, strlen(path));
	return err != NULL ? list_profiles(config, err) : GM_USAGE;
}

static enum gm_code load(struct gm_aws_config *config, const char *profile, struct gm_error *err)
{
	bool named;
	const char *paths[FILES];
	if (!choose_profile(config, profile, &named)) GM_FAIL(err, GM_NOMEM, "out of memory for a profile");
	paths[CREDENTIALS] = find_path(config, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
	paths[CONFIG] = find_path(config, "AWS_CONFIG_FILE", "~/.aws/config");
	for (size_t i = 0; i < FILES; i++) {
		if (paths[i] == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the paths of AWS's files");
		gm_aws_file_init(&config->files[i], paths[i]);
		GM_TRY(gm_aws_file_read(&config->files[i], err));
	}
	GM_TRY(read_labels(config, err));
	return !named || gm_aws_config_has_profile(config, config->profile) ? GM_OK : fail_profile(config, err);
}

enum gm_code gm_aws_config_load(const struct gm_aws_config_options *options, struct gm_aws_config **out,
                                struct gm_error *err)
{
	*out = NULL;
	struct gm_aws_config *config = calloc(1, sizeof *config);
	if (config == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for AWS's settings");
	config->env = options->env != NULL ? options->env : environment;
	config->env_context = options->env_context;
	gm_arena_init(&config->arena, 1024);
	gm_secret_init(&config->words, WORDS_MAX);
	enum gm_code rc = load(config, options->profile, err);
	if (rc == GM_OK)
		*out = config;
	else
		gm_aws_config_free(config);
	return rc;
}

void gm_aws_config_free(struct gm_aws_config *config)
{
	if (config == NULL) return;
	for (size_t i = 0; i < FILES; i++) gm_aws_file_release(&config->files[i]);
	gm_secret_release(&config->words);
	gm_arena_release(&config->arena);
	free(config->labels);
	free(config);
}

/* --- Profiles ----------------------------------------------------------------------------------------------------- */

const char *gm_aws_config_profile(const struct gm_aws_config *config)
{
	return config->profile;
}

bool gm_aws_config_profile_is_explicit(const struct gm_aws_config *config)
{
	return config->explicit;
}

static const struct gm_aws_section *labelled(const struct gm_aws_config *config, enum label_kind kind, const char *name)
{
	for (size_t i = config->files[CONFIG].section_count; i-- > 0;) {
		if (config->labels[i].kind == kind && strcmp(config->labels[i].name, name) == 0)
			return &config->files[CONFIG].sections[i];
	}
	return NULL;
}

/* A profile's section in one of the files; NULL: it has none there. */
static const struct gm_aws_section *section_of(const struct gm_aws_config *config, size_t file, const char *profile)
{
	if (file == CONFIG) return labelled(config, LABEL_PROFILE, profile);
	return strcmp(profile, "DEFAULT") != 0 ? gm_aws_file_section(&config->files[file], profile) : NULL;
}

bool gm_aws_config_has_profile(const struct gm_aws_config *config, const char *profile)
{
	return section_of(config, CREDENTIALS, profile) != NULL || section_of(config, CONFIG, profile) != NULL;
}

/* The setting of a section, or of [DEFAULT]; *where is the section that it was found in. */
static const struct gm_aws_setting *find_setting(const struct gm_aws_file *file, const struct gm_aws_section *section,
                                                 const char *name, const struct gm_aws_section **where)
{
	*where = section;
	const struct gm_aws_setting *setting = gm_aws_file_setting(file, section, NULL, name);
	if (setting != NULL) return setting;
	*where = gm_aws_file_section(file, "DEFAULT");
	return *where != NULL ? gm_aws_file_setting(file, *where, NULL, name) : NULL;
}

/* Is there a setting of that name? Then *value is its, or that of the nested one, NULL if there is no such. */
static bool look_up(const struct gm_aws_file *file, const struct gm_aws_section *section, const char *outer,
                    const char *name, const char **value)
{
	const struct gm_aws_section *where;
	const struct gm_aws_setting *setting = find_setting(file, section, outer != NULL ? outer : name, &where);
	*value = NULL;
	if (setting == NULL) return false;
	if (outer != NULL) setting = gm_aws_file_setting(file, where, outer, name);
	if (setting != NULL && !setting->holds_nested) *value = setting->value;
	return true;
}

static bool is_part_of_key(const char *name)
{
	static const char *const parts[] = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"};
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (strcmp(name, parts[i]) == 0) return true;
	}
	return false;
}

/* Does the key of a profile stand in that file? */
static bool has_key(const struct gm_aws_config *config, size_t file, const char *profile)
{
	const char *value;
	const struct gm_aws_section *section = section_of(config, file, profile);
	return section != NULL && look_up(&config->files[file], section, NULL, "aws_access_key_id", &value);
}

const char *gm_aws_config_get(const struct gm_aws_config *config, const char *profile, const char *name)
{
	char outer[64];
	const char *dot = strchr(name, '.'), *value;
	size_t n = dot != NULL ? (size_t)(dot - name) : 0;
	if (n >= sizeof outer) return NULL;
	memcpy(outer, name, n);
	outer[n] = '\0';
	bool both = !is_part_of_key(name) || !has_key(config, CREDENTIALS, profile);
	for (size_t i = 0; i < (both ? FILES : CONFIG); i++) {
		const struct gm_aws_section *section = section_of(config, i, profile);
		if (section == NULL) continue;
		if (look_up(&config->files[i], section, dot != NULL ? outer : NULL, dot != NULL ? dot + 1 : name, &value))
			return value;
	}
	return NULL;
}

const char *gm_aws_config_service(const struct gm_aws_config *config, const char *service, const char *name)
{
	const char *services = gm_aws_config_get(config, config->profile, "services"), *value;
	const struct gm_aws_section *section = services != NULL ? labelled(config, LABEL_SERVICES, services) : NULL;
	if (section == NULL) return NULL;
	return look_up(&config->files[CONFIG], section, service, name, &value) ? value : NULL;
}

bool gm_aws_config_has_services(const struct gm_aws_config *config, const char *name)
{
	return labelled(config, LABEL_SERVICES, name) != NULL;
}

const char *gm_aws_config_region(const struct gm_aws_config *config)
{
	const char *region = gm_aws_config_env(config, "AWS_REGION");
	if (region == NULL) region = gm_aws_config_env(config, "AWS_DEFAULT_REGION");
	if (region == NULL) region = gm_aws_config_get(config, config->profile, "region");
	return region != NULL && region[0] != '\0' ? region : NULL;
}
