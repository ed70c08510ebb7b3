/* version.h - who wrote this. */
#ifndef GM_RUN_VERSION_H
#define GM_RUN_VERSION_H

/* For Parquet's created_by: "gristmill version 0.1.0 (build ...)", in the form that parquet-java can parse. */
const char *gm_created_by(void);

#endif
