namespace Stig.Model.Evaluation;

/// <summary>
/// Energy distance (Szekely and Rizzo 2013) with the Euclidean norm: 2 E|X - Y| - E|X - X'| - E|Y - Y'|, zero if and only if
/// the distributions are the same. Estimated without bias: a vector is not paired with itself, so that two samples of one
/// distribution give a negative value as often as a positive one.
/// </summary>
public static class EnergyDistance
{
    /// <summary>The distance between two samples.</summary>
    /// <param name="x">Vectors of one length, at least two.</param>
    /// <param name="y">Vectors of that length, at least two.</param>
    /// <exception cref="ArgumentException">A sample has fewer than two vectors, or the lengths differ.</exception>
    public static double Between(IReadOnlyList<double[]> x, IReadOnlyList<double[]> y)
    {
        Check(x, y, 2);
        double between = x.Sum(a => y.Sum(b => Norm(a, b)));
        return (2 * between / ((double)x.Count * y.Count)) - MeanWithin(Rows(x), x.Count) - MeanWithin(Rows(y), y.Count);
    }

    /// <summary>The distance of samples that belong together pair by pair, with what it would be without each pair.</summary>
    /// <param name="x">Vectors of one length, at least three.</param>
    /// <param name="y">As many vectors of that length; the i-th goes with the i-th of <paramref name="x"/>.</param>
    /// <exception cref="ArgumentException">There are fewer than three pairs, or the numbers or lengths differ.</exception>
    public static JackknifeEstimate Jackknife(IReadOnlyList<double[]> x, IReadOnlyList<double[]> y)
    {
        Check(x, y, 3);
        int count = x.Count;
        if (y.Count != count)
        {
            throw new ArgumentException($"{count} vectors cannot be paired with {y.Count}.", nameof(y));
        }

        double[] withinX = Rows(x);
        double[] withinY = Rows(y);
        double[] fromX = [.. x.Select(a => y.Sum(b => Norm(a, b)))];
        double[] fromY = [.. y.Select(b => x.Sum(a => Norm(a, b)))];
        double between = fromX.Sum();
        double[] leaveOneOut = new double[count];
        for (int i = 0; i < count; i++)
        {
            double rest = between - fromX[i] - fromY[i] + Norm(x[i], y[i]);
            leaveOneOut[i] = (2 * rest / ((count - 1.0) * (count - 1)))
                - ((withinX.Sum() - (2 * withinX[i]) + withinY.Sum() - (2 * withinY[i])) / ((count - 1.0) * (count - 2)));
        }

        double value = (2 * between / ((double)count * count)) - MeanWithin(withinX, count) - MeanWithin(withinY, count);
        return new JackknifeEstimate(value, leaveOneOut);
    }

    // Sum of the distances of each vector from all others.
    private static double[] Rows(IReadOnlyList<double[]> sample) => [.. sample.Select(a => sample.Sum(b => Norm(a, b)))];

    private static double MeanWithin(double[] rows, int count) => rows.Sum() / ((double)count * (count - 1));

    private static double Norm(double[] a, double[] b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
        {
            sum += (a[i] - b[i]) * (a[i] - b[i]);
        }

        return Math.Sqrt(sum);
    }

    private static void Check(IReadOnlyList<double[]> x, IReadOnlyList<double[]> y, int least)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        if (x.Count < least || y.Count < least)
        {
            throw new ArgumentException(
                $"An energy distance needs at least {least} vectors a sample, not {x.Count} and {y.Count}.", nameof(x));
        }

        if (x.Concat(y).Any(vector => vector.Length != x[0].Length))
        {
            throw new ArgumentException($"All vectors must have the length of the first, {x[0].Length}.", nameof(y));
        }
    }
}
