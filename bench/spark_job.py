"""The main job as a team writes it in PySpark: columns by paths, derived ones by Python functions, Parquet in folders by day.

    spark_job.py SOURCE TARGET [MASTER]      MASTER: local[2]

The functions follow the rules that the production job has in Python, and tests/test_bench.py holds them against the same pairs of
input and output as ours. To PySpark's advantage: the schema is given and lines are read one by one (the production job reads whole
files, "multiline"), no duplicates are looked for, and what Spark can do without Python (times, zeros before the instance) it does."""
import os
import re
import sys
import urllib.parse

import shapes

BROWSERS = re.compile("mozilla|safari|opera|lynx|ucweb|chrome|firefox", re.IGNORECASE)
BROWSER_VERSION = re.compile(r"^(mozilla|safari|opera|lynx|ucweb|chrome|firefox)/(\S+)", re.IGNORECASE)
CLIENTS = (("Synapse-Java-Client", "JAVA"), ("Synpase-Java-Client", "JAVA"), ("synapser", "SYNAPSER"), ("synapseRClient", "R"),
           ("synapsecommandlineclient", "COMMAND_LINE"), ("synapseclient", "PYTHON"), ("ELB-HealthChecker", "ELB_HEALTHCHECKER"),
           ("SynapseRepositoryStack", "STACK"))
NAME_OF = {"SYNAPSER": "synapser", "R": "synapseRClient", "COMMAND_LINE": "synapsecommandlineclient", "PYTHON": "synapseclient",
           "ELB_HEALTHCHECKER": "ELB-HealthChecker", "STACK": "SynapseRepositoryStack"}
BEGINNINGS = (("/entity/md5", "/entity/md5/#"), ("/evaluation/name", "/evaluation/name/#"), ("/entity/alias", "/entity/alias/#"))
IDS = re.compile(r"\b(syn|fh)\d+(\.\d+)?\b|\b\d+(\w+)?[^/]\b")
ENTITY = re.compile(r"/entity/(?:syn)?(\d+)")


def normalize_url(url):
    url = re.sub(r"\s", "", urllib.parse.unquote(url.lower()))
    start = url.find("/v1/")
    if start < 0:
        return "INVALID URL"
    url = url[start + 3:]
    for beginning, result in BEGINNINGS:
        if url.startswith(beginning):
            return result
    if url.startswith("/2fa"):
        return url
    if url.startswith("/user/bundle"):
        return "/user/bundle"
    if "/access/" in url:
        return "/objects/#/access/#"
    if "/schema/type/registered/" in url:
        return "/schema/type/registered/#"
    return re.sub(r"/\d+", "/#", IDS.sub("#", re.sub(r"[^\w/]", "", re.sub(r";[^/]+", "", url))))


def signature(method, url):
    return None if method is None or url is None else f"{method} {normalize_url(url)}"


def client(agent):
    if agent is None:
        return "UNKNOWN"
    if "Synapse-Web-Client" in agent or BROWSERS.search(agent):
        return "WEB"
    return next((name for text, name in CLIENTS if text in agent), "UNKNOWN")


def client_version(agent):
    kind = client(agent)
    if kind == "UNKNOWN":
        return None
    if kind == "WEB" and BROWSERS.search(agent):
        found = BROWSER_VERSION.search(agent)
        return found.group(2) if found else None
    if kind == "WEB":
        name = "Synapse-Web-Client"
    elif kind == "JAVA":
        name = "Synpase-Java-Client" if agent.startswith("Synpase") else "Synapse-Java-Client"
    else:
        name = NAME_OF[kind]
    found = re.search(re.escape(name) + r"/(\S+)", agent)
    return found.group(1) if found else None


def entity_id(url):
    found = ENTITY.search(url.lower()) if url is not None else None
    number = int(found.group(1)) if found else None
    return number if number is not None and number < 1 << 63 else None


def main(source, target, master):
    from pyspark.sql import SparkSession, functions, types

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (SparkSession.builder.master(master).appName("access-record")
               .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").config("spark.ui.enabled", "false")
               .config("spark.ui.showConsoleProgress", "false").config("spark.driver.memory", "2g").config("spark.sql.session.timeZone", "UTC")
               .config("spark.sql.parquet.compression.codec", "zstd").config("spark.hadoop.parquet.compression.codec.zstd.level", "1")
               .config("spark.sql.execution.pythonUDF.arrow.enabled", os.environ.get("SPARK_JOB_ARROW", "false"))
               .config("spark.sql.sources.partitionColumnTypeInference.enabled", "false").getOrCreate())
    kinds = {"s": types.StringType(), "i": types.LongType(), "b": types.BooleanType()}
    payload = types.StructType([types.StructField(path[1], kinds[kind]) for path, _, kind in shapes.ACCESS.columns])
    documents = (session.read.option("recursiveFileLookup", "true")
                 .schema(types.StructType([types.StructField("payload", payload)])).json(source))
    columns = [functions.timestamp_millis(".".join(path)).alias(name) if name == "timestamp" else functions.col(".".join(path)).alias(name)
               for path, name, _ in shapes.ACCESS.columns]
    text, number = types.StringType(), types.LongType()
    rows = (documents.where("payload.timestamp is not null").select(columns)
            .withColumn("instance", functions.expr("ltrim('0', instance)"))
            .withColumn("normalized_method_signature", functions.udf(signature, text)("method", "request_url"))
            .withColumn("client", functions.udf(client, text)("user_agent"))
            .withColumn("client_version", functions.udf(client_version, text)("user_agent"))
            .withColumn("entity_id", functions.udf(entity_id, number)("request_url")))
    for name, form in (("year", "yyyy"), ("month", "MM"), ("day", "dd")):
        rows = rows.withColumn(name, functions.date_format("timestamp", form))
    rows.write.partitionBy("year", "month", "day").parquet(target)
    session.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "local[2]")
