namespace Stig.Model.Evaluation;

/// <summary>
/// How well a linear classifier, trained anew, tells real images from others by their spectra: 0.5 is chance, 1 perfect. Features are log
/// magnitudes averaged over 8 x 8 blocks of each channel, standardised on the training part; the classifier is ridge
/// regression to +1 (real) and -1 in its dual form, (Z Z^T / p + 0.01 I) a = t with p features; each image is scored by the
/// classifier of the fold it was left out of.
/// </summary>
public static class LinearDetector
{
    /// <summary>Folds of the cross-validation, unless told otherwise.</summary>
    public const int DefaultFolds = 10;

    private const int Block = 8;

    /// <summary>The features of a spectrum.</summary>
    /// <param name="logMagnitude">M = ln(1 + |F|), [C, H, W].</param>
    /// <param name="extents">Its extents; blocks at the far borders are cut where a side is no multiple of 8.</param>
    /// <returns>[C, ceil(H/8), ceil(W/8)] means.</returns>
    /// <exception cref="ArgumentException">The length is wrong.</exception>
    public static double[] Features(ReadOnlySpan<float> logMagnitude, ImageExtents extents)
    {
        extents.CheckLength(logMagnitude, nameof(logMagnitude));
        (int height, int width) = (extents.Height, extents.Width);
        int rows = (height + Block - 1) / Block;
        int columns = (width + Block - 1) / Block;
        double[] features = new double[extents.Channels * rows * columns];
        for (int i = 0; i < logMagnitude.Length; i++)
        {
            (int channel, int y, int x) = (i / extents.Area, i / width % height / Block, i % width / Block);
            int count = Math.Min(Block, height - (y * Block)) * Math.Min(Block, width - (x * Block));
            features[(((channel * rows) + y) * columns) + x] += (double)logMagnitude[i] / count;
        }

        return features;
    }

    /// <summary>
    /// Area under the ROC curve by cross-validation over pairs: pair i is left out in fold i mod <paramref name="folds"/>, both members
    /// together; the scores of all folds make one curve.
    /// </summary>
    /// <param name="reals">Features of real images.</param>
    /// <param name="images">Features of as many other images; the i-th goes with the i-th real one.</param>
    /// <param name="folds">Number of folds, from 2 to the number of pairs.</param>
    /// <exception cref="ArgumentException">The numbers or lengths differ.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There are too few or too many folds.</exception>
    public static double CrossValidatedAuc(IReadOnlyList<double[]> reals, IReadOnlyList<double[]> images, int folds = DefaultFolds)
    {
        ArgumentNullException.ThrowIfNull(reals);
        ArgumentNullException.ThrowIfNull(images);
        if (reals.Count != images.Count)
        {
            throw new ArgumentException($"{reals.Count} real images cannot be paired with {images.Count}.", nameof(images));
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(folds, 2);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(folds, reals.Count);
        double[] realScores = new double[reals.Count];
        double[] imageScores = new double[images.Count];
        for (int fold = 0; fold < folds; fold++)
        {
            int[] training = [.. Enumerable.Range(0, reals.Count).Where(pair => pair % folds != fold)];
            var classifier = new RidgeClassifier([.. training.Select(pair => reals[pair])], [.. training.Select(pair => images[pair])]);
            for (int pair = fold; pair < reals.Count; pair += folds)
            {
                realScores[pair] = classifier.Score(reals[pair]);
                imageScores[pair] = classifier.Score(images[pair]);
            }
        }

        return AreaUnderCurve(realScores, imageScores);
    }

    /// <summary>
    /// Area under the ROC curve: the probability that a positive scores higher than a negative, a tie counting half (Mann and
    /// Whitney 1947).
    /// </summary>
    /// <param name="positives">Scores of one class, at least one.</param>
    /// <param name="negatives">Scores of the other class, at least one.</param>
    /// <exception cref="ArgumentException">A class is empty or a score is not a number.</exception>
    public static double AreaUnderCurve(ReadOnlySpan<double> positives, ReadOnlySpan<double> negatives)
    {
        if (positives.IsEmpty || negatives.IsEmpty)
        {
            throw new ArgumentException("An ROC curve needs scores of both classes.", nameof(positives));
        }

        double[] scores = [.. positives, .. negatives];
        if (Array.Exists(scores, double.IsNaN))
        {
            throw new ArgumentException("A score is not a number.", nameof(positives));
        }

        bool[] isPositive = new bool[scores.Length];
        isPositive.AsSpan(0, positives.Length).Fill(true);
        Array.Sort(scores, isPositive);
        double wins = 0;
        int negativesBelow = 0;
        for (int start = 0; start < scores.Length;)
        {
            int end = start;
            int tiedPositives = 0;
            for (; end < scores.Length && scores[end] == scores[start]; end++)
            {
                tiedPositives += isPositive[end] ? 1 : 0;
            }

            int tiedNegatives = end - start - tiedPositives;
            wins += tiedPositives * (negativesBelow + (0.5 * tiedNegatives));
            negativesBelow += tiedNegatives;
            start = end;
        }

        return wins / ((double)positives.Length * negatives.Length);
    }
}
