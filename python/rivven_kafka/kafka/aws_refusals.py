"""What botocore raises when it finds no AWS keys, in our words: what passes by itself, and what does not."""

from __future__ import annotations

from botocore import exceptions

from rivven_kafka.errors import AuthenticationError, ConfigError, ConnectError, RivvenKafkaError

# A program or a service that is to give keys may answer with what is no JSON, or JSON of another shape.
FAILURES = (
    exceptions.BotoCoreError,
    exceptions.ClientError,
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
)
"""What can come out of botocore when it is asked for keys."""

# Source: botocore/retries/standard.py and the errors of STS.
_PASSING_CODES = {
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "IDPCommunicationError",
    "InternalFailure",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
}
_ELSEWHERE = (
    exceptions.ConnectionError,
    exceptions.CredentialRetrievalError,
    exceptions.HTTPClientError,
    exceptions.MetadataRetrievalError,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
)
"""Not about the configuration files, but about who is asked."""


def no_keys(error: Exception) -> RivvenKafkaError:
    """What one of `FAILURES` means when keys are asked for.

    Returns:
        An `AuthenticationError` if AWS refuses for good, else a `ConnectError`. It shows nothing of an answer
        with keys.
    """
    name = type(error).__name__
    match error:
        case exceptions.ClientError():
            if _passes(error):
                return ConnectError(f"AWS gives no credentials now: {error}", code=name)
            return AuthenticationError(f"AWS gives no credentials: {error}", code=name)
        case exceptions.BotoCoreError():
            detail = str(error)
        case OSError():
            detail = ": ".join(str(part) for part in (error.filename, error.strerror or name) if part)
        case _:
            # Its text may hold the answer, and the answer the keys.
            detail = f"the answer makes no sense ({name})"
    return ConnectError(f"cannot obtain AWS credentials: {detail}", code=name)


def not_found(error: Exception) -> RivvenKafkaError:
    """What one of `FAILURES` means when it is looked for who has keys.

    Returns:
        A `ConfigError` if it is about the AWS configuration files, else the same as `no_keys`.
    """
    if isinstance(error, exceptions.BotoCoreError) and not isinstance(error, _ELSEWHERE):
        return ConfigError(f"security: AWS credentials: {error}")
    return no_keys(error)


def _passes(error: exceptions.ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error.response.get("Error", {}).get("Code")
    return status == 429 or status >= 500 or code in _PASSING_CODES
