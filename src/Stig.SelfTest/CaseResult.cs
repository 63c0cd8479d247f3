namespace Stig.SelfTest;

/// <summary>A measured error beside its bound.</summary>
/// <param name="What">Which output or gradient.</param>
/// <param name="RelativeL2">||result - oracle|| / ||oracle||.</param>
/// <param name="Maximum">max|result - oracle| / max|oracle|.</param>
/// <param name="Bound">What was allowed.</param>
internal sealed record Measurement(string What, double RelativeL2, double Maximum, Bound Bound)
{
    // Written so that NaN fails.
    public bool Passed => RelativeL2 <= Bound.RelativeL2 && Maximum <= Bound.Maximum;

    public override string ToString() =>
        $"{What}: relative L2 error {RelativeL2:E2} (bound {Bound.RelativeL2:E2}), "
        + $"largest {Maximum:E2} (bound {Bound.Maximum:E2}; {Bound.Reason})";
}

/// <summary>Outcome of a case on an executor.</summary>
/// <param name="Case">Name of the case.</param>
/// <param name="Failures">One sentence each; none when the case passed.</param>
/// <param name="Measurements">All measured errors.</param>
internal sealed record CaseResult(string Case, IReadOnlyList<string> Failures, IReadOnlyList<Measurement> Measurements)
{
    public bool Passed => Failures.Count == 0;

    /// <summary>What failed, or the largest measured error as a share of its bound.</summary>
    public string Message => Passed
        ? $"{Case}: passed, {Measurements.Count} comparisons, largest error {LargestShare:P0} of its bound"
        : $"{Case}: {string.Join("; ", Failures)}";

    /// <summary>Largest error divided by its bound, over all bounds that are not zero.</summary>
    public double LargestShare => Measurements.Where(m => m.Bound.RelativeL2 > 0)
        .Select(m => Math.Max(m.RelativeL2 / m.Bound.RelativeL2, m.Maximum / m.Bound.Maximum))
        .DefaultIfEmpty(0).Max();
}
