"""Stands in for the package of the SDK's repository that is not published."""
