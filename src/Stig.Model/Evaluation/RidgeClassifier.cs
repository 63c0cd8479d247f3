namespace Stig.Model.Evaluation;

/// <summary>
/// Ridge regression to +1 and -1 on features standardised by both classes together, in its dual form: (Z Z^T / p + 0.01 I) a = t with p
/// features.
/// </summary>
internal sealed class RidgeClassifier
{
    private const double Ridge = 0.01;

    private readonly Standardization standardization;
    private readonly double[][] vectors;
    private readonly double[] weights;

    public RidgeClassifier(double[][] positives, double[][] negatives)
    {
        double[][] raw = [.. positives, .. negatives];
        standardization = new Standardization(raw);
        vectors = Array.ConvertAll(raw, standardization.Apply);
        double[,] kernel = new double[vectors.Length, vectors.Length];
        for (int i = 0; i < vectors.Length; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                kernel[i, j] = Kernel(vectors[i], vectors[j]) + (i == j ? Ridge : 0);
            }
        }

        weights = SolveByCholesky(kernel, [.. raw.Select((_, i) => i < positives.Length ? 1.0 : -1.0)]);
    }

    /// <summary>How features are brought to mean 0 and deviation 1.</summary>
    public Standardization Standardization => standardization;

    /// <summary>The same classifier on standardised features: a score is the sum of the features times these.</summary>
    public double[] Coefficients() =>
        [.. Enumerable.Range(0, vectors[0].Length).Select(k => vectors.Select((vector, i) => weights[i] * vector[k]).Sum() / vectors[0].Length)];

    public double Score(double[] features)
    {
        double[] vector = standardization.Apply(features);
        double score = 0;
        for (int i = 0; i < vectors.Length; i++)
        {
            score += weights[i] * Kernel(vectors[i], vector);
        }

        return score;
    }

    private static double Kernel(double[] a, double[] b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum / a.Length;
    }

    // Overwrites the lower triangle of a symmetric positive definite matrix with its factor and the right side with the solution.
    private static double[] SolveByCholesky(double[,] matrix, double[] right)
    {
        int n = right.Length;
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                double rest = matrix[i, j];
                for (int k = 0; k < j; k++)
                {
                    rest -= matrix[i, k] * matrix[j, k];
                }

                matrix[i, j] = i == j ? Math.Sqrt(rest) : rest / matrix[j, j];
            }

            for (int k = 0; k < i; k++)
            {
                right[i] -= matrix[i, k] * right[k];
            }

            right[i] /= matrix[i, i];
        }

        for (int i = n - 1; i >= 0; i--)
        {
            for (int k = i + 1; k < n; k++)
            {
                right[i] -= matrix[k, i] * right[k];
            }

            right[i] /= matrix[i, i];
        }

        return right;
    }
}
