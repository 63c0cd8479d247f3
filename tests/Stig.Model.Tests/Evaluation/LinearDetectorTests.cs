using Stig.Model.Evaluation;

namespace Stig.Model.Tests.Evaluation;

/// <summary>The retrained linear detector against its primal form and plain loops.</summary>
public sealed class LinearDetectorTests
{
    [Fact]
    public void Area_under_the_curve_counts_ties_half()
    {
        // By hand: 3 beats all three; 2 beats 1 and ties 2; 1 ties 1: (3 + 1.5 + 0.5) / 9.
        Assert.Equal(5.0 / 9, LinearDetector.AreaUnderCurve([3, 2, 1], [1, 2, 2.5]), 1e-14);
        Assert.Equal(0.5, LinearDetector.AreaUnderCurve([1, 1], [1, 1, 1]), 1e-14);
        Assert.Equal(1, LinearDetector.AreaUnderCurve([2, 3], [1, 0]), 1e-14);
        Assert.Equal(0, LinearDetector.AreaUnderCurve([0], [1]), 1e-14);
    }

    [Fact]
    public void Area_under_the_curve_matches_all_pairs()
    {
        double[] positives = [.. RandomValues.Floats(40, 5).Select(v => Math.Round(10 * v))];
        double[] negatives = [.. RandomValues.Floats(25, 6).Select(v => Math.Round(8 * v))];
        double wins = positives.Sum(p => negatives.Sum(n => p > n ? 1 : p == n ? 0.5 : 0));
        Assert.Equal(wins / (40 * 25), LinearDetector.AreaUnderCurve(positives, negatives), 1e-14);
    }

    [Fact]
    public void Features_are_block_means_also_where_blocks_are_cut()
    {
        var extents = new ImageExtents(12, 16, 2);
        float[] spectrum = RandomValues.Floats(extents.Count, 7);
        double[] features = LinearDetector.Features(spectrum, extents);
        Assert.Equal(2 * 2 * 2, features.Length);
        for (int k = 0; k < features.Length; k++)
        {
            double expected = Enumerable.Range(0, extents.Count)
                .Where(i => i / extents.Area == k / 4 && i / 16 % 12 / 8 == k / 2 % 2 && i % 16 / 8 == k % 2)
                .Average(i => (double)spectrum[i]);
            Assert.Equal(expected, features[k], 1e-12);
        }
    }

    [Fact]
    public void Cross_validation_matches_ridge_regression_in_its_primal_form()
    {
        // Oracle: w = (Z'Z/p + 0.01 I)^-1 Z't/p for the two features, solved by Cramer's rule, fold by fold.
        const int pairs = 12;
        const int folds = 4;
        double[][] reals = RandomValues.Vectors(pairs, 2, 8);
        double[][] images = RandomValues.Vectors(pairs, 2, 9, 0.25);
        double[] positives = new double[pairs];
        double[] negatives = new double[pairs];
        for (int fold = 0; fold < folds; fold++)
        {
            double[][] training = [.. reals.Where((_, i) => i % folds != fold), .. images.Where((_, i) => i % folds != fold)];
            double[] means = [.. Enumerable.Range(0, 2).Select(k => training.Average(v => v[k]))];
            double[] deviations = [.. Enumerable.Range(0, 2).Select(k => Math.Sqrt(training.Average(v => Math.Pow(v[k] - means[k], 2))))];
            double[] Standardised(double[] v) => [(v[0] - means[0]) / deviations[0], (v[1] - means[1]) / deviations[1]];
            double[][] z = [.. training.Select(Standardised)];
            double a = (z.Sum(v => v[0] * v[0]) / 2) + 0.01;
            double b = z.Sum(v => v[0] * v[1]) / 2;
            double d = (z.Sum(v => v[1] * v[1]) / 2) + 0.01;
            double Label(int i) => i < z.Length / 2 ? 1 : -1;
            double r0 = z.Index().Sum(v => v.Item[0] * Label(v.Index)) / 2;
            double r1 = z.Index().Sum(v => v.Item[1] * Label(v.Index)) / 2;
            double determinant = (a * d) - (b * b);
            (double w0, double w1) = (((r0 * d) - (b * r1)) / determinant, ((a * r1) - (b * r0)) / determinant);
            for (int i = fold; i < pairs; i += folds)
            {
                positives[i] = (w0 * Standardised(reals[i])[0]) + (w1 * Standardised(reals[i])[1]);
                negatives[i] = (w0 * Standardised(images[i])[0]) + (w1 * Standardised(images[i])[1]);
            }
        }

        double expected = LinearDetector.AreaUnderCurve(positives, negatives);
        Assert.InRange(expected, 0.5, 0.99);
        Assert.Equal(expected, LinearDetector.CrossValidatedAuc(reals, images, folds), 1e-12);
    }

    [Fact]
    public void Separable_sets_are_told_apart_with_more_features_than_images()
    {
        double[][] reals = RandomValues.Vectors(10, 50, 11);
        double[][] images = RandomValues.Vectors(10, 50, 12, 0.4);
        Assert.Equal(1, LinearDetector.CrossValidatedAuc(reals, images));
        Assert.Throws<ArgumentOutOfRangeException>(() => LinearDetector.CrossValidatedAuc(reals, images, 11));
    }
}
