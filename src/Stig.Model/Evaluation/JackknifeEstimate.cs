namespace Stig.Model.Evaluation;

/// <summary>
/// A statistic of a set of units (images, or pairs of images) with its jackknife: what it would be without each of them
/// (Efron and Stein 1981).
/// </summary>
public sealed class JackknifeEstimate
{
    /// <summary>Wraps the values.</summary>
    /// <param name="value">The statistic of all units.</param>
    /// <param name="leaveOneOut">The statistic without unit i, for each unit, at least two.</param>
    /// <exception cref="ArgumentException">There are fewer than two units.</exception>
    public JackknifeEstimate(double value, IReadOnlyList<double> leaveOneOut)
    {
        ArgumentNullException.ThrowIfNull(leaveOneOut);
        if (leaveOneOut.Count < 2)
        {
            throw new ArgumentException($"A jackknife needs at least two units, not {leaveOneOut.Count}.", nameof(leaveOneOut));
        }

        Value = value;
        LeaveOneOut = leaveOneOut;
    }

    /// <summary>The statistic of all units.</summary>
    public double Value { get; }

    /// <summary>The statistic without each of the units.</summary>
    public IReadOnlyList<double> LeaveOneOut { get; }

    /// <summary>sqrt((n - 1)/n sum_i (t_i - mean t)^2), t_i the statistic without unit i.</summary>
    public double StandardError
    {
        get
        {
            double mean = LeaveOneOut.Average();
            return Math.Sqrt((LeaveOneOut.Count - 1.0) / LeaveOneOut.Count * LeaveOneOut.Sum(t => (t - mean) * (t - mean)));
        }
    }

    /// <summary>
    /// This statistic minus another one of the same units in the same order. What both owe to the units cancels in the standard error.
    /// </summary>
    /// <param name="other">The statistic to subtract.</param>
    /// <exception cref="ArgumentException">The number of units differs.</exception>
    public JackknifeEstimate Minus(JackknifeEstimate other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return LeaveOneOut.Count == other.LeaveOneOut.Count
            ? new JackknifeEstimate(Value - other.Value, [.. LeaveOneOut.Zip(other.LeaveOneOut, (a, b) => a - b)])
            : throw new ArgumentException($"{LeaveOneOut.Count} units cannot be paired with {other.LeaveOneOut.Count}.", nameof(other));
    }

    /// <summary>Average of a statistic over folds whose units are different ones, and its standard error sqrt(sum of
    /// squares)/folds.</summary>
    /// <param name="folds">The folds, at least one.</param>
    /// <exception cref="ArgumentException">There is no fold.</exception>
    public static (double Value, double StandardError) Average(IReadOnlyList<JackknifeEstimate> folds)
    {
        ArgumentNullException.ThrowIfNull(folds);
        return folds.Count > 0
            ? (folds.Average(fold => fold.Value), Math.Sqrt(folds.Sum(fold => fold.StandardError * fold.StandardError)) / folds.Count)
            : throw new ArgumentException("An average needs at least one fold.", nameof(folds));
    }
}
