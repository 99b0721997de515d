"""The API as servers of the family have it from which the service descends: FastAPI, with lists of another kind."""
