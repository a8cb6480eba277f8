# PowerShell is not covered by the embedded conda: use `conda run`, or an upstream installer.
