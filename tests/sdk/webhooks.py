"""Judges webhooks as their receiver does: by the library of Standard Webhooks, with the receiver's secret.

Reads one request a line, as JSON with its headers and its body, and prints its id; ends with an error where a signature is
not the sender's.
"""

import json
import os
import sys

from standardwebhooks import Webhook, WebhookVerificationError

judge = Webhook(os.environ["SECRET"])
for line in sys.stdin:
    request = json.loads(line)
    said = judge.verify(request["body"], request["headers"])
    assert said["data"]["sentence"], said
    print(request["headers"]["webhook-id"], said["type"])
    spoiled = request["body"].replace("sentence", "sentense")
    try:
        judge.verify(spoiled, request["headers"])
    except WebhookVerificationError:
        continue
    sys.exit("a body that was changed on its way is taken for the sender's")
