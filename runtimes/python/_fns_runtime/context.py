"""What a handler learns about its call and its function: the context object and Lambda's environment variables."""

import os
import sys
import time
import types
from os import getpid  # Names of their own: tenant code may replace those of the module.
from time import monotonic


class Context:
    """AWS Lambda's context object, and what FNS knows beyond it: attempt (from 1), tenant, namespace, trigger_id."""

    def __init__(self, shared, call):
        self.__dict__.update(shared)
        del self.__dict__["timeout_sec"]
        self.aws_request_id = call.request_id
        self.attempt = call.attempt
        self.trigger_id = call.trigger_id
        self.client_context = None
        self.identity = types.SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        deadline = monotonic() + shared["timeout_sec"]
        self.get_remaining_time_in_millis = lambda: max(0, int((deadline - monotonic()) * 1000))

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return "LambdaContext(aws_request_id=%r, function_name=%r)" % (self.aws_request_id, self.function_name)


def shared_context(given):
    name, version = given["functionName"], given["version"]
    qualifier = "" if version == "$LATEST" else ":" + version
    return {
        "function_name": name,
        "function_version": version,
        "invoked_function_arn": "arn:aws:lambda:local:000000000000:function:%s%s" % (name, qualifier),
        "memory_limit_in_mb": str(given["memoryMb"]),
        "log_group_name": "/aws/lambda/" + name,
        "log_stream_name": "%s/[%s]%d" % (time.strftime("%Y/%m/%d", time.gmtime()), version, getpid()),
        "tenant": given["tenant"],
        "namespace": given["namespace"],
        "timeout_sec": given["timeoutSec"],
    }


def install_environment(given, shared):
    """Lambda's reserved variables win over the tenant's."""
    if given.get("tmp"):
        os.environ["TMPDIR"] = given["tmp"]
    os.environ.update(given["env"])
    os.environ.update({
        "_HANDLER": given["handler"],
        "LAMBDA_TASK_ROOT": given["code"],
        "AWS_EXECUTION_ENV": "AWS_Lambda_python%d.%d" % sys.version_info[:2],
        "AWS_LAMBDA_FUNCTION_NAME": shared["function_name"],
        "AWS_LAMBDA_FUNCTION_VERSION": shared["function_version"],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": shared["memory_limit_in_mb"],
        "AWS_LAMBDA_LOG_GROUP_NAME": shared["log_group_name"],
        "AWS_LAMBDA_LOG_STREAM_NAME": shared["log_stream_name"],
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    })
    if "TZ" in given["env"]:
        time.tzset()
