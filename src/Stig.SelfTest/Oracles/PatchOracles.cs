using Stig.Model.Graphs;

namespace Stig.SelfTest.Oracles;

/// <summary>Sampled positions, gathered features, unit rows, the contrastive loss.</summary>
internal static class PatchOracles
{
    /// <summary>
    /// The first values of the keyed permutation of 0 .. extent - 1 that native/cpu/patch_nce.cpp defines: a Feistel network
    /// of twelve rounds over the smallest even number of bits that holds the extent, applied until the value is below the
    /// extent.
    /// </summary>
    public static Tensor SamplePositions(uint seedLow, uint seedHigh, uint step, uint stream, int extent, int count)
    {
        int bits = 1;
        while (Math.Pow(4, bits) < extent)
        {
            bits++;
        }

        uint half = (uint)Math.Pow(2, bits);
        var positions = new Tensor(new Shape(count), ElementType.Int32);
        for (int i = 0; i < count; i++)
        {
            uint value = (uint)i;
            do
            {
                uint left = value / half;
                uint right = value % half;
                for (uint round = 0; round < 12; round++)
                {
                    uint mixed = Philox([right, round, step, stream], [seedLow, seedHigh])[0] % half;
                    (left, right) = (right, left ^ mixed);
                }

                value = (left * half) + right;
            }
            while (value >= extent);

            positions.Values[i] = value;
        }

        return positions;
    }

    /// <summary>Philox4x32 with ten rounds (Salmon, Moraes, Dror and Shaw, SC 2011).</summary>
    public static uint[] Philox(uint[] counter, uint[] key)
    {
        uint[] c = [.. counter];
        uint[] k = [.. key];
        for (int round = 0; round < 10; round++)
        {
            ulong product0 = 0xD2511F53UL * c[0];
            ulong product1 = 0xCD9E8D57UL * c[2];
            c = [High(product1) ^ c[1] ^ k[0], Low(product1), High(product0) ^ c[3] ^ k[1], Low(product0)];
            k = [unchecked(k[0] + 0x9E3779B9), unchecked(k[1] + 0xBB67AE85)];
        }

        return c;
    }

    /// <summary>dst[n P + i, c] = src[n, c, position i].</summary>
    public static Tensor GatherPositions(Tensor src, Tensor positions)
    {
        int count = positions.Values.Length;
        var dst = new Tensor(new Shape(src.N * count, src.C));
        for (int n = 0; n < src.N; n++)
        {
            for (int i = 0; i < count; i++)
            {
                int position = (int)positions.Values[i];
                for (int c = 0; c < src.C; c++)
                {
                    dst[(n * count) + i, c] = src[n, c, position / src.W, position % src.W];
                }
            }
        }

        return dst;
    }

    public static Tensor L2Normalize(Tensor src, double epsilon)
    {
        var dst = new Tensor(src.Shape);
        for (int row = 0; row < src.N; row++)
        {
            double squares = 0;
            for (int k = 0; k < src.C; k++)
            {
                squares += src[row, k] * src[row, k];
            }

            for (int k = 0; k < src.C; k++)
            {
                dst[row, k] = src[row, k] / (Math.Sqrt(squares) + epsilon);
            }
        }

        return dst;
    }

    /// <summary>Loss; softmax of the negatives, with that of the positive minus one on the diagonal.</summary>
    public static Tensor[] PatchNce(Tensor queries, Tensor keys, int groups, double temperature)
    {
        const double masked = -10;
        int size = queries.N / groups;
        var probability = new Tensor(new Shape(queries.N, size));
        double loss = 0;
        for (int i = 0; i < queries.N; i++)
        {
            int first = i / size * size;
            double positive = Dot(queries, i, keys, i) / temperature;
            double[] negatives = new double[size];
            double sum = Math.Exp(positive);
            for (int j = 0; j < size; j++)
            {
                negatives[j] = (first + j == i ? masked : Dot(queries, i, keys, first + j)) / temperature;
                sum += Math.Exp(negatives[j]);
            }

            loss += (Math.Log(sum) - positive) / queries.N;
            for (int j = 0; j < size; j++)
            {
                probability[i, j] = first + j == i ? (Math.Exp(positive) / sum) - 1 : Math.Exp(negatives[j]) / sum;
            }
        }

        return [Tensor.Scalar(loss), probability];
    }

    private static double Dot(Tensor a, int rowOfA, Tensor b, int rowOfB)
    {
        double sum = 0;
        for (int k = 0; k < a.C; k++)
        {
            sum += a[rowOfA, k] * b[rowOfB, k];
        }

        return sum;
    }

    private static uint High(ulong product) => (uint)(product >> 32);

    private static uint Low(ulong product) => unchecked((uint)product);
}
