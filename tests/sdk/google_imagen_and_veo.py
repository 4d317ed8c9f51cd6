"""Google's last SDK that speaks Imagen and the Gemini API's Veo, against the fake."""

import functools
import urllib.error
import urllib.request

from google import genai
from google.genai import errors, types

from checks import KEY, PROMPT, address, check, equal, file_of, is_mp4, png_size, raised

IMAGEN = "imagen-3.0-generate-002"
VEO = "veo-3.1-fast-generate-preview"


# A client that nobody holds closes its connections.
@functools.cache
def client(account="works", key=KEY):
    options = types.HttpOptions(base_url=address(account), api_version="v1beta", timeout=20_000)
    return genai.Client(api_key=key, http_options=options)


def draw(account="works", key=KEY, model=IMAGEN, **config):
    config = types.GenerateImagesConfig(**{"number_of_images": 1, "include_rai_reason": True, **config})
    return client(account, key).models.generate_images(model=model, prompt=PROMPT, config=config)


def submit(account="works", model=VEO, **config):
    config = types.GenerateVideosConfig(**{"number_of_videos": 1, **config})
    return client(account).models.generate_videos(
        model=model, source=types.GenerateVideosSource(prompt=PROMPT), config=config
    )


def finished(account, operation):
    """Polls until it is done; how often that was."""
    for polls in range(1, 10):
        operation = client(account).operations.get(operation)
        if operation.done:
            return operation, polls
    raise AssertionError("it does not come to an end")


with check("Imagen: pictures"):
    answer = draw(number_of_images=2, aspect_ratio="16:9", person_generation="dont_allow")
    equal(len(answer.generated_images), 2)
    for generated in answer.generated_images:
        equal((generated.image.mime_type, generated.rai_filtered_reason), ("image/png", None))
        equal(png_size(generated.image.image_bytes), (1408, 768))

with check("Imagen: a size of its own"):
    answer = draw(model="imagen-4.0-generate-001", image_size="2K")
    equal(png_size(answer.generated_images[0].image.image_bytes), (2048, 2048))

with check("Imagen: filtered, with the reason"):
    generated = draw("refused").generated_images[0]
    equal(generated.image.image_bytes, None)
    assert "Support codes: 56562880" in generated.rai_filtered_reason, generated

with check("Imagen: filtered, without the reason"):
    equal(draw("refused", include_rai_reason=False).generated_images, None)

with check("Imagen: ClientError for a wrong key"):
    error = raised(errors.ClientError, lambda: draw(key="wrong"))
    equal((error.code, error.status), (400, "INVALID_ARGUMENT"))
    equal(error.details["error"]["details"][0]["reason"], "API_KEY_INVALID")
    equal(raised(errors.ClientError, lambda: draw("auth")).message, "API key not valid. Please pass a valid API key.")

with check("Imagen: ClientError for what is malformed"):
    for config, field in (
        ({"number_of_images": 9}, "sampleCount"),
        ({"aspect_ratio": "2:1"}, "aspectRatio"),
        ({"image_size": "2K"}, "sampleImageSize"),
    ):
        error = raised(errors.ClientError, lambda: draw(**config))
        equal((error.code, error.status), (400, "INVALID_ARGUMENT"))
        assert f"`{field}`" in error.message, error
    raised(errors.ClientError, lambda: draw("invalid"))

with check("Imagen: ClientError for a model that is gone"):
    for call in (lambda: draw("retired"), lambda: draw(model="gemini-3.1-flash-image"), lambda: draw(model="imagen-no-such")):
        error = raised(errors.ClientError, call)
        equal((error.code, error.status), (404, "NOT_FOUND"))
        assert "is not found for API version v1beta, or is not supported for predict" in error.message, error

with check("Imagen: ClientError for too many calls"):
    error = raised(errors.ClientError, lambda: draw("rate-limited"))
    equal((error.code, error.status), (429, "RESOURCE_EXHAUSTED"))
    facts = {fact["@type"].rsplit(".", 1)[1]: fact for fact in error.details["error"]["details"]}
    equal(facts["RetryInfo"]["retryDelay"], "34.424s")
    assert "PerMinute" in facts["QuotaFailure"]["violations"][0]["quotaId"], facts

with check("Imagen: ClientError for the day's quota"):
    error = raised(errors.ClientError, lambda: draw("quota"))
    assert "PerDay" in error.details["error"]["details"][0]["violations"][0]["quotaId"], error

with check("Imagen: ServerError when it is overloaded"):
    error = raised(errors.ServerError, lambda: draw("transient"))
    equal((error.code, error.status), (503, "UNAVAILABLE"))

with check("Veo: submit, poll, download"):
    submitted = submit(duration_seconds=8, aspect_ratio="9:16", resolution="720p", negative_prompt="text")
    assert submitted.name.startswith(f"models/{VEO}/operations/"), submitted
    equal(submitted.done, None)
    operation, polls = finished("works", submitted)
    equal((polls, operation.error, operation.name), (2, None, submitted.name))
    film = operation.response.generated_videos[0].video
    file = client().files.download(file=file_of(film.uri))
    is_mp4(file)

with check("Veo: a file is not given away without the key"):
    with_key = urllib.request.Request(film.uri, headers={"x-goog-api-key": KEY})
    equal(urllib.request.urlopen(with_key).read(), file)
    error = raised(urllib.error.HTTPError, lambda: urllib.request.urlopen(film.uri))
    equal(error.code, 403)

with check("Veo: filtered"):
    operation, _ = finished("refused", submit("refused"))
    equal((operation.error, operation.response.generated_videos), (None, None))
    equal(operation.response.rai_media_filtered_count, 1)
    assert "Support codes: 15236754" in operation.response.rai_media_filtered_reasons[0]

with check("Veo: an operation that fails"):
    operation, _ = finished("render-fails", submit("render-fails"))
    equal((operation.error["code"], operation.response), (13, None))

with check("Veo: done without a film"):
    operation, _ = finished("unusable", submit("unusable"))
    equal(operation.response.generated_videos, None)

with check("Veo: ClientError for an operation nobody made"):
    nobodys = types.GenerateVideosOperation(name=f"models/{VEO}/operations/nobodys")
    error = raised(errors.ClientError, lambda: client().operations.get(nobodys))
    equal((error.code, error.status), (403, "PERMISSION_DENIED"))
    raised(errors.ClientError, lambda: client("refused").operations.get(submitted))

with check("Veo: ClientError for what is malformed"):
    for model, config, field in (
        (VEO, {"duration_seconds": 5}, "durationSeconds"),
        (VEO, {"aspect_ratio": "1:1"}, "aspectRatio"),
        (VEO, {"number_of_videos": 3}, "sampleCount"),
        ("veo-2.0-generate-001", {"resolution": "720p"}, "resolution"),
    ):
        error = raised(errors.ClientError, lambda: submit(model=model, **config))
        equal((error.code, error.status), (400, "INVALID_ARGUMENT"))
        assert f"`{field}`" in error.message, error

with check("Veo: ClientError for a model that is gone"):
    error = raised(errors.ClientError, lambda: submit("retired"))
    equal((error.code, error.status), (404, "NOT_FOUND"))
    assert "is not supported for predictLongRunning" in error.message, error

with check("Veo: ServerError when it is overloaded"):
    equal(raised(errors.ServerError, lambda: submit("transient")).code, 503)
